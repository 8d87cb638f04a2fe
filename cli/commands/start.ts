// millrace start: everything on this machine, with the demo shop, until Ctrl-C. millrace start <pool>[=processes]…: only
// these pools, on the Postgres and Redis that the environment names (or that a running start has left a note of).
import { once } from 'node:events'
import { readConfig } from '../../runtime/config.ts'
import { describeError, fail } from '../../runtime/errors.ts'
import { releaseWhenIdle } from '../../runtime/idle-memory.ts'
import { waitForSignal } from '../../runtime/lifecycle.ts'
import { createLog } from '../../runtime/log.ts'
import { runDemoApart } from '../demo/apart.ts'
import type { DemoNote } from '../demo/setup.ts'
import { isFit } from '../doctor/diagnose.ts'
import type { CliIo } from '../io.ts'
import { type PoolProcess, startPoolProcess } from '../local/children.ts'
import type { Stack } from '../local/stack.ts'
import { withStack } from '../local/with-stack.ts'
import type { Asked } from '../run-process.ts'
import { readRunState, removeRunState, writeRunState } from '../run-state.ts'

export async function run(args: string[], io: CliIo): Promise<number> {
  const { asked, processes } = readPools(args)
  return asked.length === 0 ? startAll(io) : startPools(asked, processes, io)
}

/** `persist`, `persist=4`, `--concurrency 8` (for the pools before it). */
function readPools(args: string[]): { asked: Asked[]; processes: Map<string, number> } {
  const asked: Asked[] = []
  const processes = new Map<string, number>()
  for (let i = 0; i < args.length; i++) {
    const text = args[i] ?? ''
    if (text === '--concurrency') {
      const concurrency = wholeNumber(args[++i] ?? '', '--concurrency')
      for (const one of asked) one.concurrency ??= concurrency
      continue
    }
    if (text.startsWith('-')) throw fail('invalid_config', `start does not know ${text}`)
    const [name = '', count] = text.split('=')
    asked.push({ name })
    processes.set(name, count === undefined ? 1 : wholeNumber(count, name))
  }
  return { asked, processes }
}

function wholeNumber(text: string, what: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 500)
    throw fail('invalid_config', `${what} needs a whole number from 1 to 500`)
  return value
}

async function startAll(io: CliIo): Promise<number> {
  const config = readConfig(io.env)
  const running = readRunState(config.dataDir)
  if (running !== undefined) {
    io.writeError(
      `Millrace runs already (pid ${running.pid}): ${running.httpUrl}. Stop it first, or set MILLRACE_DATA_DIR and other ports.\n`,
    )
    return 1
  }
  if (!(await isFit(config, io))) return 1
  let noted = false
  try {
    await withStack({ config, io }, async (stack, interrupted) => {
      noteRunning(stack)
      noted = true
      const { agrees, note } = await runDemoApart(stack, io, interrupted)
      noteRunning(stack, note)
      io.write(
        `\n${agrees ? 'Every count is as expected.' : 'Some counts are not as expected: see the rows marked ✗.'}\n`,
      )
      io.write(addressesOf(stack, note))
      await once(interrupted, 'abort')
    })
  } finally {
    if (noted) removeRunState(config.dataDir)
  }
  io.write('Stopped\n')
  return 0
}

function noteRunning(stack: Stack, note?: DemoNote): void {
  const addresses = stack.addresses()
  writeRunState(stack.config.dataDir, {
    pid: process.pid,
    databaseUrl: stack.config.databaseUrl,
    redisUrl: stack.config.redisUrl,
    httpUrl: addresses.http ?? '',
    dashboardUrl: addresses.dashboard ?? '',
    outboxUrl: stack.sinks.outbox.url,
    metrics: stack.processes.map((one) => ({ pools: one.pools, url: one.addresses().probes ?? '' })),
    env: Object.fromEntries(
      Object.entries(stack.env)
        .filter(([name]) => /^(MILLRACE_|DATABASE_URL|REDIS_URL)/.test(name))
        .map(([name, value]) => [name, value ?? '']),
    ),
    ...(note === undefined ? {} : { secretKey: note.secretKey, writeKey: note.writeKey }),
  })
}

function addressesOf(stack: Stack, note: DemoNote): string {
  const { http = '', dashboard = '', adminPassword, exporter } = stack.addresses()
  const password =
    adminPassword === undefined
      ? '(the password was printed at the first start)'
      : `user admin, password ${adminPassword} (shown once)`
  return `
  Dashboard          ${dashboard}   ${password}
  Outbox             ${stack.sinks.outbox.url}
  API documentation  ${http}/api/docs
  Event debugger     ${http}/debugger
  Queue metrics      ${exporter ?? ''}

  Write key          ${note.writeKey}
  Secret key         ${note.secretKey}

Try it:
  curl -u ${note.writeKey}: ${http}/v1/track -H 'content-type: application/json' \\
    -d '{"userId":"me","event":"Product Viewed","properties":{"product_id":"p-001"}}'
  curl -H 'authorization: Bearer ${note.secretKey}' ${http}/api/v1/users/me

Running until Ctrl-C.
`
}

/** One process of one pool runs right here, with its logs on standard output, as containers like it; more become children. */
async function startPools(asked: Asked[], processes: Map<string, number>, io: CliIo): Promise<number> {
  const env = { ...io.env, ...(readRunState(readConfig(io.env).dataDir)?.env ?? {}), ...OWN_PORTS }
  const config = readConfig({ ...env, ...explicit(io.env) })
  if (config.databaseUrl === '' || config.redisUrl === '') {
    throw fail(
      'invalid_config',
      'DATABASE_URL and REDIS_URL are needed to start single pools (or a millrace start that runs already)',
    )
  }
  const stopped = waitForSignal(() => process.exit(1))
  if ([...processes.values()].every((count) => count === 1)) {
    const log = createLog({ level: config.logLevel, service: asked.map((one) => one.name).join('+') })
    // Loaded here: a start of everything has children for it, and stays without its memory.
    const { runProcess } = await import('../run-process.ts')
    releaseWhenIdle()
    const running = await runProcess(config, log, asked)
    log.info(
      { pools: asked.map((one) => one.name), addresses: { ...running.addresses, adminPassword: undefined } },
      'ready',
    )
    await Promise.race([stopped, running.resharded])
    return (await running.stop()) ? 0 : 1
  }
  const children: PoolProcess[] = []
  try {
    for (const one of asked) {
      const pools = [one.concurrency === undefined ? one.name : `${one.name}:${one.concurrency}`]
      for (let i = 0; i < (processes.get(one.name) ?? 1); i++) {
        children.push(
          await startPoolProcess({
            pools,
            env: { ...env, ...explicit(io.env) },
            logDir: undefined,
            stopDeadlineMs: config.stopDeadlineMs,
          }),
        )
      }
    }
    io.write(`${children.length} processes are running; Ctrl-C stops them\n`)
    await stopped
  } catch (error) {
    io.writeError(`${describeError(error)}\n`)
    return 1
  } finally {
    await Promise.all(children.map((child) => child.stop()))
  }
  return 0
}

/** Another process of a running deployment must not ask for a port again that a neighbour has. */
const OWN_PORTS = { MILLRACE_METRICS_PORT: '0' }

function explicit(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) =>
      /^(MILLRACE_|DATABASE_URL|REDIS_URL|SMTP_URL|FCM_|PUBSUB_|BIGQUERY_|LOG_LEVEL)/.test(name),
    ),
  )
}
