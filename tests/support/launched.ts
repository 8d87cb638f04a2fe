// Programs that tests start and must end: their first line of output, their end, and whether a process is still there.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export type Launched = { child: ChildProcess; url: string; port: number; pid: number }

const PROGRAM = fileURLToPath(new URL('./launch-server.ts', import.meta.url))

/** Runs tests/support/launch-server.ts and resolves when its server is up; throws what it wrote when it ends before. */
export async function launchServerProgram(
  args: ['postgres' | 'redis', string, ...string[]],
  options: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Launched> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: process.env,
    ...options,
  })
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const line = await firstLine(child)
  if (line === undefined) throw new Error(`the server program ended early: ${errors.slice(-600)}`)
  return { child, ...JSON.parse(line) }
}

/** Undefined when the program ends without a word. */
export async function firstLine(child: ChildProcess): Promise<string | undefined> {
  if (child.stdout === null) throw new Error('its output is not a pipe')
  for await (const line of createInterface({ input: child.stdout })) return line
  return undefined
}

export async function endOf(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return { code: child.exitCode, signal: child.signalCode }
}

/** False also for a zombie that waits for its parent. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch (error) {
    // Without /proc the signal alone tells.
    return error instanceof Error && 'code' in error && error.code === 'ENOENT'
  }
}
