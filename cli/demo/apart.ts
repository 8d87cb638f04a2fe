// Runs the demo in a process of its own, so that the shop, its fold and the client do not stay in the memory of the one
// that stays up. Called by the commands start and demo.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { CliIo } from '../io.ts'
import { endChild } from '../local/server.ts'
import type { Stack } from '../local/stack.ts'
import type { DemoResult, DemoTarget } from './run-demo.ts'

const ENTRY = fileURLToPath(new URL('../demo-process.ts', import.meta.url))

/** What the child is told, as its only argument; the configuration is its environment. */
export type DemoOrder = { target: DemoTarget; terminal: Pick<CliIo, 'isTerminal' | 'columns' | 'colours'> }
export type DemoReport =
  | { kind: 'wrote'; text: string }
  | { kind: 'done'; result: DemoResult }
  | { kind: 'failed'; reason: string }

/** Resolves with what the demo found; rejects when it could not run, and soon after `interrupted`. */
export async function runDemoApart(stack: Stack, io: CliIo, interrupted: AbortSignal): Promise<DemoResult> {
  const order: DemoOrder = {
    target: {
      httpUrl: stack.addresses().http ?? '',
      outboxUrl: stack.sinks.outbox.url,
      persistUrl: stack.processOf('persist').addresses().probes,
    },
    terminal: { isTerminal: io.isTerminal, columns: io.columns, colours: io.colours },
  }
  // Its own group: Ctrl-C reaches the launcher only.
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', ENTRY, JSON.stringify(order)],
    { env: stack.env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true },
  )
  try {
    return await reportOf(child, io, interrupted)
  } finally {
    await endChild(child, 'SIGTERM', 'SIGKILL', 1000)
  }
}

function reportOf(child: ChildProcess, io: CliIo, interrupted: AbortSignal): Promise<DemoResult> {
  return new Promise((resolve, reject) => {
    child.on('message', (report: DemoReport) => {
      if (interrupted.aborted) return
      if (report.kind === 'wrote') io.write(report.text)
      else if (report.kind === 'done') resolve(report.result)
      else reject(new Error(report.reason))
    })
    child.once('error', reject)
    child.once('exit', (code, signal) => reject(new Error(`the demo ended with ${code ?? signal}`)))
    interrupted.addEventListener('abort', () => reject(interrupted.reason), { once: true })
  })
}
