// A local Redis: the one on the PATH, or Debian's and Ubuntu's own packages unpacked into a cache folder without root.
// Runs with `appendonly yes`, `appendfsync always` and `noeviction`: what 2xx promises. Used by `start`, `demo`, `bench`, tests.
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { delimiter, join, resolve } from 'node:path'
import { endOrphan, noteLauncher, readPid } from './orphans.ts'
import { findRedisServer, type RedisProgram } from './redis-server.ts'
import { endChild, type LocalServer, type LogLine, launchServer, onPort } from './server.ts'

export type LocalRedis = LocalServer & {
  /** Starts again on the same port and data, after `kill`. */
  restart(): Promise<void>
}

type Plan = {
  server: RedisProgram
  env: NodeJS.ProcessEnv
  dir: string
  password: string
  maxmemoryMb: number
  extra: string[]
}

const PID_FILE = 'redis.pid'
const CONFIG_FILE = 'redis.conf'

/**
 * Starts the server of `dir`; port 0 = any free port. `env` finds the programs and the cache folder; `extra` are more
 * lines of its configuration. Ends a server that outlived its launcher; throws `conflict` when a living launcher uses
 * `dir`, `port_taken`, `missing_program` with what to install or with the server's log.
 */
export async function startRedis(options: {
  dir: string
  port: number
  maxmemoryMb?: number
  log: LogLine
  env: NodeJS.ProcessEnv
  extra?: string[]
}): Promise<LocalRedis> {
  const dir = resolve(options.dir)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const server = await findRedisServer(options.env, join(dir, 'programs'), options.log)
  await endStale(dir)
  const plan: Plan = {
    server,
    env: options.env,
    dir,
    password: readPassword(dir),
    maxmemoryMb: options.maxmemoryMb ?? 512,
    extra: options.extra ?? [],
  }
  const started = await onPort(options.port, async (port) => ({ port, child: await launch(plan, port) }))
  noteLauncher(dir)
  const { port } = started
  let { child } = started
  options.log(`Redis is ready on port ${port}`)
  return {
    url: `redis://:${plan.password}@127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid ?? 0
    },
    async stop() {
      await endChild(child, 'SIGTERM', 'SIGKILL', 10_000)
      rmSync(join(dir, PID_FILE), { force: true })
    },
    kill: (signal) => void child.kill(signal),
    async restart() {
      await endChild(child, 'SIGKILL', 'SIGKILL', 1000)
      child = await launch(plan, port)
    },
  }
}

/** The password stands in the file only: command lines are readable by everyone on the machine. */
function configOf(plan: Plan, port: number): string {
  const lines = [
    'bind 127.0.0.1',
    `port ${port}`,
    `dir ${quote(plan.dir)}`,
    `requirepass ${plan.password}`,
    'appendonly yes',
    'appendfsync always',
    'no-appendfsync-on-rewrite no',
    'auto-aof-rewrite-min-size 64mb',
    'maxmemory-policy noeviction',
    `maxmemory ${plan.maxmemoryMb}mb`,
    'save ""',
    'daemonize no',
    'tcp-keepalive 60',
    // Its housekeeping wakes up ten times a second otherwise: half of what it costs at rest. Little here expires by time.
    'hz 1',
    // Each has its share of that, and only the first is used.
    'databases 1',
    ...plan.extra,
  ]
  return `${lines.join('\n')}\n`
}

function launch(plan: Plan, port: number): Promise<ChildProcess> {
  const configFile = join(plan.dir, CONFIG_FILE)
  writeFileSync(configFile, configOf(plan, port), { mode: 0o600 })
  const { PATH, LD_LIBRARY_PATH = '' } = plan.env
  const libraries = [plan.server.libraryPath ?? '', LD_LIBRARY_PATH].filter((path) => path !== '')
  return launchServer({
    what: 'Redis',
    program: plan.server.program,
    args: [configFile],
    // Nothing else of our environment: it may hold secrets.
    spawn: {
      cwd: plan.dir,
      env: {
        PATH,
        LC_ALL: 'C',
        TZ: 'UTC',
        ...(libraries.length === 0 ? {} : { LD_LIBRARY_PATH: libraries.join(delimiter) }),
      },
    },
    endsOn: 'SIGTERM',
    logFile: join(plan.dir, 'redis.log'),
    port,
    answers: () => answersPing(port, plan.password),
    onSpawn: (pid) => writeFileSync(join(plan.dir, PID_FILE), String(pid)),
  })
}

/** Made once, kept readable for its owner only; derived texts never show it. */
function readPassword(dir: string): string {
  const file = join(dir, 'password')
  if (!existsSync(file)) writeFileSync(file, randomBytes(18).toString('hex'), { mode: 0o600 })
  return readFileSync(file, 'utf8').trim()
}

function quote(path: string): string {
  return `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** A server of this folder that outlived its launcher; Redis itself would let two write to the same files. */
async function endStale(dir: string): Promise<void> {
  const pid = readPid(join(dir, PID_FILE))
  if (pid === undefined) return
  const configFile = join(dir, CONFIG_FILE)
  const config = existsSync(configFile) ? readFileSync(configFile, 'utf8') : ''
  const port = /^port (\d+)$/m.exec(config)?.[1] ?? ''
  // Its title is first its command line, then "redis-server 127.0.0.1:<port>".
  const isServer = (command: string) =>
    /redis|valkey/.test(command) && (command.includes(configFile) || command.includes(`127.0.0.1:${port}`))
  await endOrphan({ what: 'Redis', place: dir, pid, signal: 'SIGTERM', isServer })
}

function answersPing(port: number, password: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let text = ''
    const end = (ok: boolean) => {
      socket.destroy()
      done(ok)
    }
    socket.setTimeout(1000, () => end(false))
    socket.on('error', () => end(false))
    socket.on('connect', () => socket.write(`AUTH ${password}\r\nPING\r\n`))
    socket.on('data', (chunk) => {
      text += chunk.toString()
      if (text.includes('+PONG')) end(true)
      else if (/-(LOADING|WRONGPASS|ERR)/.test(text)) end(false)
    })
  })
}
