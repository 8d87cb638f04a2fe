// Postgres refuses to run as root. As root we run it as a system user, and put what it must read and write where that
// user can reach it: a checkout under a folder that only root can enter is copied, and a note says where to.
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fail } from '../../runtime/errors.ts'

export type RunAs = { uid: number; gid: number } | undefined

const SYSTEM_USER = 'millrace'
/** In `dir`: the folder that really holds the data. `millrace reset` reads it too. */
const LOCATION_FILE = 'location'

/** The user that servers run as: undefined when we are not root ourselves. Makes the user when it is missing. */
export function chooseUser(): RunAs {
  if (process.getuid?.() !== 0) return undefined
  const user = lookUp(SYSTEM_USER) ?? makeUser() ?? lookUp('postgres') ?? lookUp('nobody')
  if (user !== undefined) return user
  throw fail(
    'missing_program',
    'running as root, and no unprivileged user for Postgres could be found or made: run as another user, or set DATABASE_URL',
  )
}

function makeUser(): RunAs {
  try {
    execFileSync('useradd', ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin', SYSTEM_USER], {
      stdio: 'ignore',
    })
  } catch {
    // No useradd here, or another start made the user meanwhile: the look-up tells.
  }
  return lookUp(SYSTEM_USER)
}

function lookUp(name: string): RunAs {
  if (!existsSync('/etc/passwd')) return undefined
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
 * The folder that holds the data of `dir`, and who runs the server in it. As an ordinary user it is `dir` itself. As
 * root it is one that the server's user owns and can reach: `dir/server`, or one under /var/lib (else /tmp) named after
 * `dir`; `dir/location` says which, so that the next start finds it. `data` in it stays with the user who made it.
 */
export function placeOf(dir: string): { place: string; user: RunAs } {
  mkdirSync(dir, { recursive: true, mode: 0o755 })
  const note = join(dir, LOCATION_FILE)
  const noted = existsSync(note) ? readFileSync(note, 'utf8').trim() : ''
  const user = chooseUser()
  if (user === undefined) {
    if (noted !== '' && !isWritable(noted))
      throw fail(
        'invalid_config',
        `the data of ${dir} was made by root: start as root, or set MILLRACE_DATA_DIR to another folder`,
      )
    return { place: noted === '' ? dir : noted, user }
  }
  // Made by an ordinary user before: it stays where it is, and theirs.
  if (noted === '' && existsSync(join(dir, 'data', 'PG_VERSION'))) return { place: dir, user: ownerOf(dir) }
  const place = noted === '' ? (isReachable(dir) ? join(dir, 'server') : elsewhere(dir)) : noted
  if (!existsSync(place)) {
    mkdirSync(place, { recursive: true, mode: 0o700 })
    chownSync(place, user.uid, user.gid)
  }
  writeFileSync(note, `${place}\n`)
  return { place, user: ownerOf(place) }
}

/** A folder that is not there yet: one of the same name holds the data of a `dir` that was deleted since. */
function elsewhere(dir: string): string {
  for (let attempt = 0; ; attempt++) {
    const hash = createHash('sha256').update(`${resolve(dir)}${attempt === 0 ? '' : ` ${attempt}`}`)
    const place = join(commonBase(), `millrace-${hash.digest('hex').slice(0, 12)}`)
    if (!existsSync(place)) return place
  }
}

function commonBase(): string {
  return existsSync('/var/lib') && isReachable('/var/lib') ? '/var/lib' : '/tmp'
}

function ownerOf(path: string): RunAs {
  const { uid, gid } = statSync(path)
  if (uid === 0)
    throw fail(
      'invalid_config',
      `${path} belongs to root, as whom Postgres does not run: delete it if it is empty, or chown it`,
    )
  return { uid, gid }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** `source` when the server's user can read it, or else a copy that it can, made once a version. */
export function reachableCopy(source: string, version: string, user: RunAs): string {
  if (
    user === undefined ||
    (isReachable(join(source, 'bin', 'postgres')) && isReachable(join(source, 'lib')))
  )
    return source
  const target = join(commonBase(), `millrace-postgres-${version}`)
  if (existsSync(target) && statSync(target).uid === 0) return target
  const work = `${target}.${randomBytes(4).toString('hex')}`
  try {
    // As they are: otherwise links to neighbours become links back into the folder that cannot be read. By a process of
    // its own: what copying 100 MB takes is not given back.
    execFileSync('cp', ['-R', '-P', source, work])
    openToOthers(work)
    // Two starts at once: the first rename wins, the other uses it.
    try {
      renameSync(work, target)
    } catch (error) {
      if (!existsSync(target) || statSync(target).uid !== 0) throw error
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return target
}

/** Readable (and enterable, executable where the owner may) by everyone: the checkout may have a tight umask. */
function openToOthers(path: string): void {
  const found = lstatSync(path)
  if (found.isSymbolicLink()) return
  const executable = (found.mode & 0o100) === 0 ? 0 : 0o011
  chmodSync(path, (found.mode & 0o7777) | 0o044 | executable)
  if (!found.isDirectory()) return
  for (const name of readdirSync(path)) openToOthers(join(path, name))
}
