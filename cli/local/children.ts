// Child processes of a local `start`: each runs some pools (cli/worker-process.ts), says over IPC when it is ready, logs
// to a file, and is started again when it dies on its own.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fail } from '../../runtime/errors.ts'
import type { Addresses } from '../run-process.ts'
import { endChild } from './server.ts'

export type PoolProcess = {
  pools: string[]
  addresses(): Addresses
  pid(): number | undefined
  /** How often it was started again. */
  restarts(): number
  kill(signal: NodeJS.Signals): void
  /** Resolves with the exit code of the child that runs now; null when a signal ended it. */
  nextExit(): Promise<number | null>
  stop(): Promise<void>
}

const ENTRY = fileURLToPath(new URL('../worker-process.ts', import.meta.url))
const RESTART_AFTER_MS = 500
const RESTART_AT_MOST_MS = 10_000
/**
 * glibc keeps a pool of freed memory a thread, and raises by itself what it gives back at once: one pool, and a fixed
 * limit. A lower limit saves 20 MB a process at rest, and costs 2 to 4 µs an event under load.
 */
const LEAN_MALLOC = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '131072',
  MALLOC_MMAP_THRESHOLD_: '131072',
}

/** Starts one process and waits until it is ready; throws what it said when it cannot start. */
export async function startPoolProcess(options: {
  pools: string[]
  env: NodeJS.ProcessEnv
  logDir: string | undefined
  stopDeadlineMs: number
}): Promise<PoolProcess> {
  let stopping = false
  let restarts = 0
  let failures = 0
  let addresses: Addresses = {}
  let child: ChildProcess

  const launch = async (): Promise<void> => {
    child = spawnPools(options)
    try {
      addresses = await whenReady(child, options)
    } catch (error) {
      await endChild(child, 'SIGTERM', 'SIGKILL', 3000)
      throw error
    }
    failures = 0
    child.once('exit', launchAgain)
  }
  const launchAgain = () => {
    if (stopping) return
    restarts += 1
    const waitMs = Math.min(RESTART_AFTER_MS * 2 ** failures, RESTART_AT_MOST_MS)
    setTimeout(() => {
      if (stopping) return
      launch().catch(() => {
        failures += 1
        launchAgain()
      })
    }, waitMs)
  }
  await launch()
  return {
    pools: options.pools,
    addresses: () => addresses,
    pid: () => child.pid,
    restarts: () => restarts,
    kill: (signal) => void child.kill(signal),
    nextExit: () => new Promise((resolve) => child.once('exit', resolve)),
    async stop() {
      stopping = true
      await endChild(child, 'SIGTERM', 'SIGKILL', options.stopDeadlineMs + 3000)
    },
  }
}

function spawnPools(options: {
  pools: string[]
  env: NodeJS.ProcessEnv
  logDir: string | undefined
}): ChildProcess {
  const args = ['--disable-warning=ExperimentalWarning', ENTRY, ...options.pools]
  const env = { ...LEAN_MALLOC, ...options.env }
  if (options.logDir === undefined)
    return spawn(process.execPath, args, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const file = join(options.logDir, `${options.pools.map((pool) => pool.split(':')[0]).join('+')}.log`)
  mkdirSync(dirname(file), { recursive: true })
  const fd = openSync(file, 'a')
  // Its own group: Ctrl-C reaches the parent only, which then stops its children in order.
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', fd, fd, 'ipc'], detached: true })
  closeSync(fd)
  return child
}

type Message = { kind: 'ready'; addresses: Addresses } | { kind: 'failed'; reason: string }

function whenReady(
  child: ChildProcess,
  options: { pools: string[]; logDir: string | undefined },
): Promise<Addresses> {
  return new Promise((resolve, reject) => {
    child.once('message', (message: Message) => {
      if (message.kind === 'ready') resolve(message.addresses)
      else reject(fail('invalid_config', `${options.pools.join(', ')} could not start: ${message.reason}`))
    })
    child.once('error', reject)
    child.once('exit', (code) => {
      const where = options.logDir === undefined ? '' : `; see ${options.logDir}`
      reject(
        fail('invalid_config', `${options.pools.join(', ')} ended with ${code} before it was ready${where}`),
      )
    })
  })
}
