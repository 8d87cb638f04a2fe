// millrace autoscale: scales the pool processes of a running deployment on this machine by the rule of the manifests, and
// shows each decision. Its processes end with it.
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { BEHAVIOUR, type Behaviour } from '../../domain/scaling.ts'
import { describeError } from '../../runtime/errors.ts'
import { parseOptions, wholeNumber } from '../args.ts'
import { type Extras, openExtras } from '../autoscale/extras.ts'
import { seenPools } from '../autoscale/pools.ts'
import { openScaler, type Scaler } from '../autoscale/scaler.ts'
import { lineOf, tableOf } from '../autoscale/show.ts'
import { type System, withSystem } from '../connect.ts'
import { onInterrupt, sleep } from '../interrupt.ts'
import type { CliIo } from '../io.ts'
import { startPoolProcess } from '../local/children.ts'
import { toEnvironment } from '../local/stack.ts'
import { readRunState } from '../run-state.ts'
import { look, reportOf } from '../status-report.ts'

type Options = { maxProcesses: number; everySeconds: number; behaviour: Behaviour; dryRun: boolean }

export async function run(args: string[], io: CliIo): Promise<number> {
  const options = readOptions(args)
  return withSystem(io, async (system) => {
    const interrupt = onInterrupt()
    const extras = openProcesses(system, options, io)
    const scaler = openScaler({ ...options, extras, shards: system.config.shards })
    try {
      return await watch(system, scaler, options, io, interrupt.signal)
    } finally {
      await extras.stop()
      interrupt.release()
    }
  })
}

function readOptions(args: string[]): Options {
  const { options } = parseOptions(args, {
    'max-processes': 'string',
    every: 'string',
    'scale-down-after': 'string',
    'dry-run': 'boolean',
  })
  const afterSeconds = wholeNumber(options['scale-down-after'], 'scale-down-after', { min: 0, max: 86_400 })
  return {
    maxProcesses:
      wholeNumber(options['max-processes'], 'max-processes', { min: 1, max: 500 }) ?? availableParallelism(),
    everySeconds: wholeNumber(options.every, 'every', { min: 1, max: 3_600 }) ?? 5,
    behaviour: afterSeconds === undefined ? BEHAVIOUR : shrinkingAfter(afterSeconds),
    dryRun: options['dry-run'] === true,
  }
}

/** The usual behaviour with another window; a shorter one also shortens the pause between two steps down. */
function shrinkingAfter(seconds: number): Behaviour {
  const { scaleUp, scaleDown } = BEHAVIOUR
  const periodSeconds = Math.max(1, Math.min(scaleDown.periodSeconds, seconds))
  return { scaleUp, scaleDown: { ...scaleDown, stabilizationWindowSeconds: seconds, periodSeconds } }
}

function openProcesses({ config }: System, options: Options, io: CliIo): Extras {
  // It serves no HTTP; its own metrics take any free port.
  const env = { ...io.env, ...toEnvironment(config), MILLRACE_METRICS_PORT: '0' }
  return openExtras({
    dryRun: options.dryRun,
    start: (pool) =>
      startPoolProcess({
        pools: [pool],
        env,
        logDir: join(config.dataDir, 'logs'),
        stopDeadlineMs: config.stopDeadlineMs,
      }),
    onFailure: (pool, reason) => io.writeError(`${pool} could not start another process: ${reason}\n`),
  })
}

/** Looks and decides until it is interrupted (0) or the deployment that it found is gone (1). */
async function watch(
  system: System,
  scaler: Scaler,
  options: Options,
  io: CliIo,
  signal: AbortSignal,
): Promise<number> {
  const { config, state } = system
  const title = `Scaling ${config.namespace} here: at most ${options.maxProcesses} more processes, a look every ${options.everySeconds} s${options.dryRun ? ', dry run' : ''}; Ctrl-C stops them`
  if (!io.isTerminal) io.write(`${title}\n`)
  let before = await look(system)
  let away = false
  for (;;) {
    await sleep(options.everySeconds * 1_000, signal)
    if (signal.aborted) break
    if (state !== undefined && readRunState(config.dataDir)?.pid !== state.pid) {
      io.writeError('The deployment was stopped; so are its extra processes\n')
      return 1
    }
    try {
      const now = await look(system)
      const pools = seenPools(reportOf(before, now, config.shards, false))
      before = now
      away = false
      const decisions = scaler.decide(pools, performance.now() / 1_000)
      if (io.isTerminal) io.write(tableOf(decisions, title, io))
      else io.write(decisions.map((one) => lineOf(one, new Date(), options.dryRun)).join(''))
    } catch (error) {
      // An outage is said once; nothing is started or stopped while nothing is seen.
      if (!away) io.writeError(`Nothing can be seen for now: ${describeError(error)}\n`)
      away = true
    }
  }
  io.write(`${io.isTerminal ? '\n' : ''}Stopping the processes that were started\n`)
  return 0
}
