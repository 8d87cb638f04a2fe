// What a local server is to its callers, and the few things both servers need: a free port, a child process that logs to
// a file and is waited for until it answers, its end. Used by postgres.ts, redis.ts and children.ts.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fail, type MillraceError } from '../../runtime/errors.ts'

export type LocalServer = {
  url: string
  port: number
  pid: number
  /** Clean shutdown; escalates by itself. */
  stop(): Promise<void>
  /** For fault tests. */
  kill(signal: NodeJS.Signals): void
}

/** Long, as a server that was killed first replays its log; one that ends by itself is noticed at once. */
const START_WITHIN_MS = 300_000

export type LogLine = (line: string) => void

/** `wanted`, or a port the system says is free when it is 0. */
export async function choosePort(wanted: number): Promise<number> {
  if (wanted !== 0) return wanted
  for (let tries = 0; tries < 100; tries++) {
    const port = CHOSEN_PORTS.from + Math.floor(Math.random() * CHOSEN_PORTS.count)
    if (await isFree('127.0.0.1', port)) return port
  }
  throw new Error('no free port')
}

/**
 * Below what systems give to outgoing connections (32768 on Linux, 49152 elsewhere): between the choice of a port and its
 * use, a connection of any other program may take one of those. CI met that.
 */
const CHOSEN_PORTS = { from: 20_000, count: 12_000 }

/** Whether nobody listens there now. */
export function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}

/**
 * Starts a server in a process group of its own (Ctrl-C reaches the launcher only, which then stops it in order) and
 * resolves when `answers` says so; throws what the server wrote last when it ends before that or takes too long. A
 * launcher that exits without stopping it sends it `endsOn`.
 */
export async function launchServer(options: {
  what: string
  program: string
  args: string[]
  spawn: SpawnOptions
  endsOn: NodeJS.Signals
  logFile: string
  port: number
  answers(): Promise<boolean>
  onSpawn?(pid: number): void
}): Promise<ChildProcess> {
  const fd = openSync(options.logFile, 'a', 0o600)
  const from = fstatSync(fd).size
  const child = spawn(options.program, options.args, {
    ...options.spawn,
    stdio: ['ignore', fd, fd],
    detached: true,
  })
  closeSync(fd)
  child.on('error', () => {})
  const onExit = () => void child.kill(options.endsOn)
  process.once('exit', onExit)
  child.once('exit', () => process.off('exit', onExit))
  if (child.pid !== undefined) options.onSpawn?.(child.pid)
  try {
    await pollUntil(
      async () => {
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null)
          throw startError(options, from)
        return options.answers()
      },
      START_WITHIN_MS,
      () => startError(options, from),
    )
  } catch (error) {
    await endChild(child, 'SIGKILL', 'SIGKILL', 1000)
    throw error
  }
  return child
}

function startError(
  options: { what: string; program: string; logFile: string; port: number },
  from: number,
): MillraceError {
  const text = existsSync(options.logFile)
    ? readFileSync(options.logFile).subarray(from).toString('utf8')
    : ''
  if (/address already in use/i.test(text))
    return fail('port_taken', `${options.what}: port ${options.port} is in use by another program`)
  const lines = text.trim() === '' ? `${options.program} wrote nothing` : lastLines(text)
  return fail('missing_program', `${options.what} did not start on port ${options.port}: ${lines}`)
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-4).join(' | ').slice(-1000)
}

/** `start` on `wanted`, or on a free port when it is 0: another program may take that one first, so it is tried again. */
export async function onPort<T>(wanted: number, start: (port: number) => Promise<T>): Promise<T> {
  for (let tries = wanted === 0 ? 4 : 1; ; tries--) {
    try {
      return await start(await choosePort(wanted))
    } catch (error) {
      if (tries === 1 || !(error instanceof Error && error.message.startsWith('port_taken'))) throw error
    }
  }
}

/** Resolves when the child has exited, at once if it has already. */
export function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => child.once('exit', () => resolve()))
}

/** Sends `first`, then `second` when the child is still there after `graceMs`. */
export async function endChild(
  child: ChildProcess,
  first: NodeJS.Signals,
  second: NodeJS.Signals,
  graceMs: number,
): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  child.kill(first)
  const timer = setTimeout(() => child.kill(second), graceMs)
  await exited(child)
  clearTimeout(timer)
}

/** Polls `check` until it is true; throws `late()` after `timeoutMs`. */
export async function pollUntil(
  check: () => Promise<boolean>,
  timeoutMs: number,
  late: () => Error,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await check())) {
    if (Date.now() > deadline) throw late()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
