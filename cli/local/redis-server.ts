// Finds a Redis server program: on the PATH, or out of the distribution's own packages, fetched once into a cache
// folder of the user and never installed. Nothing but Debian's and Ubuntu's own apt is asked.
import { execFile } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { fail } from '../../runtime/errors.ts'
import { claim } from './claim.ts'
import type { LogLine } from './server.ts'

const run = promisify(execFile)

export type RedisProgram = { program: string; libraryPath?: string }

/** In Debian the program is in redis-tools, and redis-server is a link to it. */
const PACKAGES = ['redis-server', 'redis-tools', 'liblzf1', 'libjemalloc2']

/**
 * The server on the PATH of `env`, or one fetched into the user's cache (`XDG_CACHE_HOME`, `~/.cache`; `fallbackDir`
 * where neither can be written). Of several at once one fetches and the others wait. Throws `missing_program`.
 */
export async function findRedisServer(
  env: NodeJS.ProcessEnv,
  fallbackDir: string,
  log: LogLine,
): Promise<RedisProgram> {
  for (const name of ['redis-server', 'valkey-server']) {
    const program = onPath(name, env)
    if (program !== undefined) return { program }
  }
  const cache = cacheFolder(env, fallbackDir)
  const folder = join(cache, `redis-${process.arch}`)
  const cached = inFolder(folder)
  if (cached !== undefined) return cached
  if (onPath('apt-get', env) === undefined || onPath('dpkg', env) === undefined) throw notFound()
  return alone(folder, async () => {
    const byAnother = inFolder(folder)
    if (byAnother !== undefined) return byAnother
    log('Redis: fetching the packages of your distribution (once)')
    await fetchTo(folder, cache, env)
    const fetched = inFolder(folder)
    if (fetched === undefined) throw notFound()
    return fetched
  })
}

/** Runs `work` while nobody else on this machine runs it for `folder`; waits for those who do. */
async function alone<T>(folder: string, work: () => Promise<T>): Promise<T> {
  let held = await claim(folder)
  while (held === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 200))
    held = await claim(folder)
  }
  try {
    return await work()
  } finally {
    await held.release()
  }
}

/** Wholly or not at all. */
async function fetchTo(folder: string, cache: string, env: NodeJS.ProcessEnv): Promise<void> {
  const work = mkdtempSync(join(cache, 'fetch-'))
  try {
    await fetchInto(work, env)
    rmSync(folder, { recursive: true, force: true })
    renameSync(join(work, 'root'), folder)
  } catch (error) {
    throw notFound(error)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The first of the user's cache folders that can be written; never a shared one, from where a stranger's program would run. */
function cacheFolder(env: NodeJS.ProcessEnv, fallbackDir: string): string {
  const { XDG_CACHE_HOME: xdg = '', HOME: home = '' } = env
  const bases = [isAbsolute(xdg) ? xdg : '', isAbsolute(home) ? join(home, '.cache') : '']
  for (const base of bases.filter((path) => path !== '')) {
    const folder = join(base, 'millrace')
    try {
      mkdirSync(folder, { recursive: true })
      accessSync(folder, constants.W_OK | constants.X_OK)
      return folder
    } catch {
      // A home that is missing or read-only: the next one.
    }
  }
  mkdirSync(fallbackDir, { recursive: true })
  return fallbackDir
}

async function fetchInto(work: string, env: NodeJS.ProcessEnv): Promise<void> {
  const root = join(work, 'root')
  mkdirSync(root)
  const plain = ['-o', 'APT::Sandbox::User=root']
  try {
    await download(work, plain, env)
  } catch {
    // No lists, as in a slim image, or lists so old that the archive has newer packages.
    await download(work, await refreshedApt(work, plain, env), env)
  }
  for (const name of readdirSync(work).filter((file) => file.endsWith('.deb')))
    await run('dpkg', ['-x', join(work, name), root])
}

/** Reads the lists anew: the system's as root, else into a folder of our own, for which the options are returned. */
async function refreshedApt(work: string, plain: string[], env: NodeJS.ProcessEnv): Promise<string[]> {
  if (process.getuid?.() === 0) {
    await run('apt-get', [...plain, 'update', '-qq'], { env })
    return plain
  }
  const state = join(work, 'apt')
  mkdirSync(join(state, 'lists', 'partial'), { recursive: true })
  mkdirSync(join(state, 'archives', 'partial'), { recursive: true })
  const own = [
    ...plain,
    ...['-o', `Dir::State::lists=${state}/lists`],
    ...['-o', `Dir::Cache=${state}`],
    ...['-o', 'Dir::State::status=/var/lib/dpkg/status'],
    ...['-o', 'Debug::NoLocking=1'],
  ]
  await run('apt-get', [...own, 'update', '-qq'], { env })
  return own
}

/** Redis, and what else of its dependencies this machine lacks: apt says it by simulating the installation. */
async function download(work: string, apt: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const { stdout } = await run(
    'apt-get',
    [...apt, '--simulate', 'install', '--no-install-recommends', 'redis-server'],
    { env },
  )
  const missing = [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, name = '']) => name)
  const packages = [...new Set([...PACKAGES, ...missing])]
  await run('apt-get', [...apt, 'download', ...packages], { cwd: work, env })
}

function inFolder(folder: string): RedisProgram | undefined {
  const program = join(folder, 'usr', 'bin', 'redis-server')
  if (!existsSync(program)) return undefined
  const libraries = ['usr/lib', 'lib'].flatMap((base) => {
    const parent = join(folder, base)
    if (!existsSync(parent)) return []
    return [
      parent,
      ...readdirSync(parent, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? [join(parent, entry.name)] : [],
      ),
    ]
  })
  return { program, libraryPath: libraries.join(delimiter) }
}

function onPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  return (env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file))
}

function notFound(cause?: unknown) {
  return fail(
    'missing_program',
    'no Redis server was found: install one (Debian/Ubuntu: apt-get install redis-server; macOS: brew install redis), or run one (docker run -p 6379:6379 redis:7 --appendonly yes --appendfsync always --maxmemory 1gb --maxmemory-policy noeviction), or set REDIS_URL',
    { cause },
  )
}
