// Postgres refuses to run as root. As root we run it as a system user, and put what it must read and write where that
// user can reach it: a checkout under a folder that only root can enter is copied, and a note says where to.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fail } from '../../runtime/errors.ts'

export type RunAs = { uid: number; gid: number } | undefined

const SYSTEM_USER = 'millrace'

/** The user that servers run as: undefined when we are not root ourselves. Makes the user when it is missing. */
export function chooseUser(): RunAs {
  if (process.getuid?.() !== 0) return undefined
  for (const name of [SYSTEM_USER, 'postgres', 'nobody']) {
    const found = lookUp(name)
    if (found !== undefined) return found
    if (name !== SYSTEM_USER) continue
    try {
      execFileSync('useradd', ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin', SYSTEM_USER], {
        stdio: 'ignore',
      })
    } catch {
      continue
    }
    const made = lookUp(name)
    if (made !== undefined) return made
  }
  throw fail(
    'missing_program',
    'running as root, and no unprivileged user for Postgres could be found or made: run as another user, or set DATABASE_URL',
  )
}

function lookUp(name: string): RunAs {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

/** True when every folder above (and including) `path` lets others enter. */
export function isReachable(path: string): boolean {
  for (let at = resolve(path); ; at = dirname(at)) {
    if (existsSync(at) && (statSync(at).mode & 0o001) === 0) return false
    if (at === dirname(at)) return true
  }
}

/**
 * A folder for `dir` that the user owns and can reach: `dir` itself, or one under /var/lib (or /tmp) named after it.
 * `dir/location` says which, so that the next start finds the same data.
 */
export function reachableFolder(dir: string, user: RunAs): string {
  mkdirSync(dir, { recursive: true })
  if (user === undefined) return dir
  const note = join(dir, 'location')
  let place = existsSync(note) ? readFileSync(note, 'utf8').trim() : ''
  if (place === '') {
    const name = `millrace-${createHash('sha256').update(resolve(dir)).digest('hex').slice(0, 12)}`
    place = isReachable(dir) ? join(dir, 'server') : join(isReachable('/var/lib') ? '/var/lib' : '/tmp', name)
    writeFileSync(note, `${place}\n`)
  }
  mkdirSync(place, { recursive: true, mode: 0o700 })
  chownSync(place, user.uid, user.gid)
  return place
}

/** `source`, or a copy of it that the user can read; made once a version. */
export function reachableCopy(source: string, version: string, user: RunAs): string {
  if (user === undefined || isReachable(source)) return source
  const base = isReachable('/var/lib') ? '/var/lib' : '/tmp'
  const target = join(base, `millrace-binaries-${version}`)
  if (existsSync(join(target, '.complete'))) return target
  cpSync(source, target, { recursive: true, verbatimSymlinks: false, dereference: true })
  writeFileSync(join(target, '.complete'), '')
  return target
}
