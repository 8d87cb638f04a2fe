// Node's compile cache: code that is stripped and compiled once is not again at the next start, which saves every process
// two seconds of CPU and the 25 MB of the stripper. bin/millrace turns it on for itself in the same folder, and fills it
// before the first start.
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('../../node_modules/.cache/millrace', import.meta.url))

/** Environment of processes that use the cache; nothing where the package's folder cannot be written. */
export function compileCacheEnv(): Record<string, string> {
  try {
    mkdirSync(FOLDER, { recursive: true, mode: 0o700 })
    return { NODE_COMPILE_CACHE: FOLDER }
  } catch {
    return {}
  }
}
