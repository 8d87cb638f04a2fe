// Which commit a measurement was made on, for the results that are kept. Called by the programs of loadtest/.
import { execFileSync } from 'node:child_process'

/** Short hash of the checkout, with a + when files differ from it; `unknown` outside of git. */
export function commitOf(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim()
  try {
    const isChanged = git('status', '--porcelain', '--untracked-files=no') !== ''
    return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? '+' : ''}`
  } catch {
    return 'unknown'
  }
}
