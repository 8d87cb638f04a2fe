// Servers that outlived their launcher (kill -9 of `start`): told apart from servers in use and from strangers with a
// recycled process id, and ended before a new server takes their files. Never ends what it cannot recognise.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../runtime/errors.ts'
import { pollUntil } from './server.ts'

const LAUNCHER_FILE = 'launcher.pid'

/** The command line of a live process; '' when there is none (a zombie has none either). */
export function commandOf(pid: number): string {
  if (!Number.isInteger(pid) || pid <= 0) return ''
  try {
    if (process.platform === 'linux')
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return execFileSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8' })
  } catch {
    return ''
  }
}

/** Leaves a note in `place` that this process launched its server. */
export function noteLauncher(place: string): void {
  writeFileSync(join(place, LAUNCHER_FILE), String(process.pid))
}

/**
 * Ends the server `pid` of `place` when `isServer` recognises it and its launcher is gone. Throws `conflict` while the
 * launcher lives: its data is in use. Resolves at once when there is no such server.
 */
export async function endOrphan(options: {
  what: string
  place: string
  pid: number
  signal: NodeJS.Signals
  isServer(command: string): boolean
}): Promise<void> {
  const { what, place, pid } = options
  const isAlive = () => options.isServer(commandOf(pid))
  if (!isAlive()) return
  const launcher = readPid(join(place, LAUNCHER_FILE))
  // Only a living parent is its launcher: an orphan belongs to init or to another reaper.
  if (launcher !== undefined && parentOf(pid) === launcher)
    throw fail('conflict', `another Millrace (pid ${launcher}) uses the ${what} of ${place}: stop it first`)
  process.kill(pid, options.signal)
  await pollUntil(
    async () => !isAlive(),
    20_000,
    () => fail('conflict', `a ${what} (pid ${pid}) still uses ${place} and does not stop: kill it first`),
  )
}

function parentOf(pid: number): number | undefined {
  try {
    if (process.platform !== 'linux')
      return Number(execFileSync('ps', ['-p', String(pid), '-o', 'ppid='], { encoding: 'utf8' }))
    // "pid (name) state ppid …": the name may hold spaces and brackets.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}

/** The number in the first line of a pid file. */
export function readPid(file: string): number | undefined {
  if (!existsSync(file)) return undefined
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0])
  return Number.isInteger(pid) && pid > 0 ? pid : undefined
}
