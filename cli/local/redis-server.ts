// Finds a Redis server program: on the PATH, or out of the distribution's own packages, fetched once into a cache
// folder of the user and never installed. Nothing but Debian's and Ubuntu's own apt is asked.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { fail } from '../../runtime/errors.ts'
import type { LogLine } from './server.ts'

const run = promisify(execFile)

export type RedisProgram = { program: string; libraryPath?: string }

const PACKAGES = ['redis-server', 'redis-tools', 'liblzf1', 'libjemalloc2']
/** Packages that carry libraries a slim image may lack. */
const LIBRARY_PACKAGES: Record<string, string> = {
  'libssl.so.3': 'libssl3',
  'libcrypto.so.3': 'libssl3',
  'libatomic.so.1': 'libatomic1',
  'libsystemd.so.0': 'libsystemd0',
  'liblua5.1.so.0': 'liblua5.1-0',
  'libhiredis.so.0.14': 'libhiredis0.14',
  'libzstd.so.1': 'libzstd1',
  'liblz4.so.1': 'liblz4-1',
  'libcap.so.2': 'libcap2',
  'libgcrypt.so.20': 'libgcrypt20',
  'libgpg-error.so.0': 'libgpg-error0',
}

export async function findRedisServer(env: NodeJS.ProcessEnv, log: LogLine): Promise<RedisProgram> {
  for (const name of ['redis-server', 'valkey-server']) {
    const program = onPath(name, env)
    if (program !== undefined) return { program }
  }
  const cache = join(env.XDG_CACHE_HOME ?? join(env.HOME ?? '/tmp', '.cache'), 'millrace')
  const folder = join(cache, `redis-${process.arch}`)
  const cached = inFolder(folder)
  if (cached !== undefined) return cached
  if (onPath('apt-get', env) === undefined || onPath('dpkg', env) === undefined) throw notFound()
  log('Redis: fetching the packages of your distribution (once)')
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'fetch-'))
  try {
    await fetchInto(work, env)
    // Two starts at once: the first rename wins, the other uses it.
    try {
      renameSync(join(work, 'root'), folder)
    } catch (error) {
      if (inFolder(folder) === undefined) throw error
    }
  } catch (error) {
    throw notFound(error)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  const fetched = inFolder(folder)
  if (fetched === undefined) throw notFound()
  return fetched
}

async function fetchInto(work: string, env: NodeJS.ProcessEnv): Promise<void> {
  const root = join(work, 'root')
  mkdirSync(root)
  const apt = await usableApt(work, env)
  await download(work, apt, PACKAGES, env)
  await unpack(work, root)
  // A slim image may lack more libraries: take what the loader says is missing, twice over for their own needs.
  for (let round = 0; round < 2; round++) {
    const missing = await missingLibraries(root, env)
    const packages = [...new Set(missing.flatMap((name) => LIBRARY_PACKAGES[name] ?? []))]
    if (packages.length === 0) break
    await download(work, apt, packages, env)
    await unpack(work, root)
  }
}

/** Options with which apt works for this user: plain, or with lists and cache of our own where the system's are missing. */
async function usableApt(work: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const plain = ['-o', 'APT::Sandbox::User=root']
  if (await knows(plain, env)) return plain
  if (process.getuid?.() === 0) {
    await run('apt-get', [...plain, 'update', '-qq'], { env })
    return plain
  }
  const state = join(work, 'apt')
  mkdirSync(join(state, 'lists', 'partial'), { recursive: true })
  mkdirSync(join(state, 'archives', 'partial'), { recursive: true })
  const own = [
    ...plain,
    '-o',
    `Dir::State::lists=${state}/lists`,
    '-o',
    `Dir::Cache=${state}`,
    '-o',
    'Dir::State::status=/var/lib/dpkg/status',
    '-o',
    'Debug::NoLocking=1',
  ]
  await run('apt-get', [...own, 'update', '-qq'], { env })
  return own
}

async function knows(apt: string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  try {
    await run('apt-get', [...apt, 'download', '--print-uris', 'redis-server'], { env })
    return true
  } catch {
    return false
  }
}

async function download(
  work: string,
  apt: string[],
  packages: string[],
  env: NodeJS.ProcessEnv,
): Promise<void> {
  await run('apt-get', [...apt, 'download', ...packages], { cwd: work, env })
}

async function unpack(work: string, root: string): Promise<void> {
  for (const name of readdirSync(work).filter((file) => file.endsWith('.deb'))) {
    await run('dpkg', ['-x', join(work, name), root])
    rmSync(join(work, name))
  }
}

async function missingLibraries(root: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const found = inFolder(root)
  if (found === undefined) return []
  const { stdout } = await run('ldd', [found.program], {
    env: { ...env, LD_LIBRARY_PATH: found.libraryPath ?? '' },
  })
  return stdout
    .split('\n')
    .filter((line) => line.includes('not found'))
    .map((line) => line.trim().split(' ')[0] ?? '')
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
