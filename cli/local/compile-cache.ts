// Node's compile cache: code that is stripped and compiled once is not again at the next start, which saves every process
// two seconds of CPU and the 25 MB of the stripper. bin/millrace turns it on for itself in the same folder.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { exited } from './server.ts'

const FOLDER = fileURLToPath(new URL('../../node_modules/.cache/millrace', import.meta.url))
const LOADER = fileURLToPath(new URL('../worker-process.ts', import.meta.url))

/** Environment of processes that use the cache; nothing where the package's folder cannot be written. */
export function compileCacheEnv(): Record<string, string> {
  try {
    mkdirSync(FOLDER, { recursive: true, mode: 0o700 })
    return { NODE_COMPILE_CACHE: FOLDER }
  } catch {
    return {}
  }
}

/** On the first start with this Node: loads everything once in a process of its own, so that the pools find it compiled. */
export async function warmCompileCache(env: NodeJS.ProcessEnv): Promise<void> {
  const note = join(FOLDER, `warm-${process.version}`)
  if (existsSync(note) || compileCacheEnv().NODE_COMPILE_CACHE === undefined) return
  const child = spawn(process.execPath, [LOADER, '--load-all'], {
    env: { ...env, ...compileCacheEnv() },
    stdio: 'ignore',
  })
  child.on('error', () => {})
  await exited(child)
  if (child.exitCode === 0) writeFileSync(note, '')
}
