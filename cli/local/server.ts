// What a local server is to its callers, and the few things both servers need: a free port, waiting for a line.
import type { ChildProcess } from 'node:child_process'
import { createServer } from 'node:net'

export type LocalServer = {
  url: string
  port: number
  pid: number
  /** Clean shutdown; escalates by itself. */
  stop(): Promise<void>
  /** For fault tests. */
  kill(signal: NodeJS.Signals): void
}

export type LogLine = (line: string) => void

/** `wanted`, or a port the system says is free when it is 0. */
export async function choosePort(wanted: number): Promise<number> {
  if (wanted !== 0) return wanted
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
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
  if (child.exitCode !== null || child.signalCode !== null) return
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
