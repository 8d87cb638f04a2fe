// A local Redis: the one on the PATH, or Debian's and Ubuntu's own packages unpacked into a cache folder without root.
// Runs with `appendonly yes`, `appendfsync always` and `noeviction`: what 2xx promises. Used by `start`, `demo`, `bench`, tests.
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join, resolve } from 'node:path'
import { fail } from '../../runtime/errors.ts'
import { findRedisServer } from './redis-server.ts'
import { choosePort, endChild, type LocalServer, type LogLine, pollUntil } from './server.ts'

export type LocalRedis = LocalServer & {
  /** Starts again on the same port and data, after `kill`. */
  restart(): Promise<void>
}

/** Starts the server of `dir`; port 0 = any free port. `env` finds the programs and the cache folder. */
export async function startRedis(options: {
  dir: string
  port: number
  maxmemoryMb?: number
  log: LogLine
  env: NodeJS.ProcessEnv
  extra?: string[]
}): Promise<LocalRedis> {
  const server = await findRedisServer(options.env, options.log)
  const dir = resolve(options.dir)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const port = await choosePort(options.port)
  const password = readPassword(dir)
  const configFile = join(dir, 'redis.conf')
  const lines = [
    'bind 127.0.0.1',
    `port ${port}`,
    `dir ${quote(dir)}`,
    `requirepass ${password}`,
    'appendonly yes',
    'appendfsync always',
    'no-appendfsync-on-rewrite no',
    'auto-aof-rewrite-min-size 64mb',
    'maxmemory-policy noeviction',
    `maxmemory ${options.maxmemoryMb ?? 512}mb`,
    'save ""',
    'daemonize no',
    'tcp-keepalive 60',
    ...(options.extra ?? []),
  ]
  writeFileSync(configFile, `${lines.join('\n')}\n`, { mode: 0o600 })
  await endStale(dir, port, password)

  const launch = async () => {
    const logFile = join(dir, 'redis.log')
    const fd = openSync(logFile, 'a')
    const child = spawn(server.program, [configFile], {
      stdio: ['ignore', fd, fd],
      detached: true,
      cwd: dir,
      env: {
        ...options.env,
        ...(server.libraryPath === undefined ? {} : { LD_LIBRARY_PATH: server.libraryPath }),
      },
    })
    child.on('error', () => {})
    const late = () => {
      const tail = existsSync(logFile)
        ? readFileSync(logFile, 'utf8').trim().split('\n').slice(-3).join(' | ')
        : ''
      return fail('missing_program', `Redis did not start on port ${port}: ${tail}`)
    }
    await pollUntil(
      async () => {
        if (child.exitCode !== null) throw late()
        return answersPing(port, password)
      },
      30_000,
      late,
    )
    if (child.pid !== undefined) writeFileSync(join(dir, 'redis.pid'), String(child.pid))
    return child
  }

  let child = await launch()
  options.log(`Redis is ready on port ${port}`)
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid ?? 0
    },
    stop: () => endChild(child, 'SIGTERM', 'SIGKILL', 10_000),
    kill: (signal) => void child.kill(signal),
    async restart() {
      await endChild(child, 'SIGKILL', 'SIGKILL', 1000)
      child = await launch()
    },
  }
}

/** Made once, kept readable for its owner only; derived texts never show it. */
function readPassword(dir: string): string {
  const file = join(dir, 'password')
  if (!existsSync(file))
    writeFileSync(file, createHash('sha256').update(randomBytes(32)).digest('hex').slice(0, 36), {
      mode: 0o600,
    })
  return readFileSync(file, 'utf8').trim()
}

function quote(path: string): string {
  return `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

/** A server that outlived its launcher (kill -9 of `start`) is ended before ours takes its files. */
async function endStale(dir: string, port: number, password: string): Promise<void> {
  const file = join(dir, 'redis.pid')
  if (!existsSync(file)) return
  const pid = Number(readFileSync(file, 'utf8'))
  if (!isRedis(pid)) return
  process.kill(pid, 'SIGTERM')
  await pollUntil(
    async () => !isRedis(pid) && !(await answersPing(port, password)),
    15_000,
    () => fail('port_taken', `another Redis (pid ${pid}) uses ${dir} and does not stop`),
  )
}

function isRedis(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || /redis|valkey/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
  } catch {
    return false
  }
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
