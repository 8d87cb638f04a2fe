// millrace bench segments: how fast people are decided, how soon they enter and leave, how fast it is read. Own servers, the
// pools of the product, one run. `--users N` takes fewer people than a million; what it ran with stands in all it says.
import { writeFileSync } from 'node:fs'
import { waitForSignal } from '../../../runtime/lifecycle.ts'
import { listCampaigns, setCampaignStatus } from '../../../store/campaigns.ts'
import { parseOptions, wholeNumber } from '../../args.ts'
import { createProgress } from '../../demo/progress.ts'
import type { CliIo } from '../../io.ts'
import { DEFAULT_PROCESSES } from '../../local/stack.ts'
import { AS_COMPOSE, commitOf, machineText, withOwnServers } from '../own-servers.ts'
import { type Bench, type Steady, steadyRate } from '../phases.ts'
import { type Lapsed, lapsingWindows } from './lapse.ts'
import { eventsOf, fillPeople } from './people.ts'
import { fullRecompute, type Recompute, type Timing } from './recompute.ts'
import { benchRules, ruleOf } from './rules.ts'
import { type Serving, serving } from './serving.ts'
import { type Incremental, incrementalPasses } from './touched.ts'
import { type Cpu, goLive, openSegmentBench, type SegmentBench, segmentIdsOf, timed } from './world.ts'

const USERS = 1_000_000
/** Fewer are for a test: phases are as short as it can wait for, and all pools run in one process. */
const FEW_USERS = 10_000
/** Live segments: the first is the demo's, the second number is what everything but incremental passes is measured with. */
const LIVE = [1, 20, 200] as const
const EVENTS_PER_SECOND = 5_000
const LAPSING_WINDOWS = 10_000

type Measured = {
  full: Recompute
  incremental: Incremental[]
  steady: Steady
  lapsed: Lapsed
  served: Serving
}

export async function runSegments(args: string[], io: CliIo): Promise<number> {
  const { options } = parseOptions(args, { json: 'string', users: 'string' })
  const users = wholeNumber(options.users, 'users', { min: 1000, max: 10_000_000 }) ?? USERS
  const size = `${whole(users)} people, ${whole(eventsOf(users))} events`
  const say = (text: string) => io.write(`  ${text}\n`)
  io.write(`Millrace segment benchmark: ${size}; own servers, all default pools, one run\n`)
  const controller = new AbortController()
  const { signal } = controller
  // A second Ctrl-C does not wait for the data to be removed.
  const interrupted = waitForSignal(() => process.exit(130)).then(() => {
    controller.abort()
    say('Stopping: the servers end and their data is removed')
    return undefined
  })
  const servers = {
    ...{ name: 'segments', env: io.env, say, config: AS_COMPOSE, signal },
    processes: users < FEW_USERS ? [DEFAULT_PROCESSES.flat()] : DEFAULT_PROCESSES,
  }
  try {
    return await withOwnServers(servers, async (bench) => {
      const measured = await Promise.race([measure({ ...bench, users }, io, say), interrupted])
      if (measured === undefined) return 130
      io.write(format(measured, size))
      if (options.json !== undefined)
        writeFileSync(options.json, `${JSON.stringify(figuresOf(measured, users), null, 2)}\n`)
      return 0
    })
  } catch (error) {
    if (!signal.aborted) throw error
    return 130
  }
}

async function measure(own: Bench, io: CliIo, say: (text: string) => void): Promise<Measured> {
  const { users, sql } = own
  const isTest = users < FEW_USERS
  const bar = barsOn(io)
  // Messages are no part of what is measured.
  for (const campaign of await listCampaigns(sql)) await setCampaignStatus(sql, campaign.campaignId, 'paused')
  say('people and their events, made in Postgres')
  const eventIds = await fillPeople(sql, { users, nowMs: Date.now(), bar })
  const bench = openSegmentBench(own, { eventIds, say, bar })
  try {
    const [one, some, many] = LIVE
    const incremental: Incremental[] = []
    const passes = async (live: number) => {
      await makeLive(bench, live)
      say(`incremental passes, ${live} live segments`)
      const measured = await incrementalPasses(bench)
      say(`${whole(perMinute(measured.pairs, measured.seconds))} profiles × rules/min`)
      incremental.push(measured)
    }
    await passes(one)
    await makeLive(bench, some)
    say(`full recompute, ${some} live segments`)
    const full = await fullRecompute(bench, benchRules(some))
    say(
      `${seconds(full.build.seconds)}, then ${seconds(full.again.seconds)}; the statement ${seconds(full.sqlSeconds)}, with the same members`,
    )
    await passes(some)
    const steadyFor = (name: string, seconds: number) =>
      timed(bench, { name, seconds }, () => steadyRate(bench, EVENTS_PER_SECOND, seconds))
    say(`steady ${whole(EVENTS_PER_SECOND)} events/s`)
    if (!isTest) await steadyFor('warming up', 20)
    const steady = await steadyFor('seconds', isTest ? 0.2 : 30)
    say(`event to membership p99 ${ms(steady.membershipP99Ms)}`)
    say('memberships in Redis, and reading them')
    const served = await serving(bench, isTest ? 0.3 : 10)
    say(`${whole(served.readsPerSecond)} reads/s, p99 ${ms(served.readP99Ms)}`)
    say('windows lapse')
    const lapsed = await lapsingWindows(bench, {
      windows: isTest ? 200 : LAPSING_WINDOWS,
      leadMs: isTest ? 2_000 : 20_000,
      spreadMs: isTest ? 300 : 10_000,
    })
    say(`exit lateness p99 ${ms(lapsed.p99Ms)}`)
    await passes(many)
    return { full, incremental, steady, lapsed, served }
  } finally {
    await bench.sender.close()
  }
}

/** So many segments in all; those that are there stay. */
async function makeLive(bench: SegmentBench, count: number): Promise<void> {
  const known = await segmentIdsOf(bench)
  const missing = benchRules(count)
    .filter(({ slug }) => !known.has(slug))
    .slice(0, count - known.size)
  await goLive(
    bench,
    missing.map((rule) => ({ slug: rule.slug, rule: ruleOf(rule) })),
  )
}

function barsOn(io: CliIo): SegmentBench['bar'] {
  return (name, total) => {
    const { write, isTerminal, columns } = io
    const stages = [{ name, total }]
    const progress = createProgress({ write, isTerminal, columns, stages, now: () => performance.now() })
    return {
      set: (done) => progress.set(name, done),
      done() {
        progress.set(name, total)
        progress.finish()
      },
    }
  }
}

const seconds = (value: number) => `${value.toFixed(value < 10 ? 2 : 0)} s`
const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 0)} ms`
const perMinute = (pairs: number, seconds: number) => (pairs / seconds) * 60

/** What `--json` writes, and at what size it was measured. A ratio of 1 is as fast as the statement. */
function figuresOf({ full, incremental, steady, lapsed, served }: Measured, users: number) {
  return {
    users,
    events: eventsOf(users),
    fullProfileRulesPerMinute: perMinute(full.pairs, full.again.seconds),
    fullRatioToHandSql: full.sqlSeconds / full.again.seconds,
    buildProfileRulesPerMinute: perMinute(full.pairs, full.build.seconds),
    buildRatioToHandSql: full.sqlSeconds / full.build.seconds,
    incrementalProfileRulesPerMinute: Object.fromEntries(
      incremental.map(({ live, pairs, seconds }) => [live, perMinute(pairs, seconds)]),
    ),
    membershipP50Ms: steady.membershipP50Ms,
    membershipP99Ms: steady.membershipP99Ms,
    exitLatenessP99Ms: lapsed.p99Ms,
    readP99Ms: served.readP99Ms,
    redisBytesPerUser: served.bytesPerUser,
  }
}

function format({ full, incremental, steady, lapsed, served }: Measured, size: string): string {
  const [, some] = LIVE
  const rows: [string, string][] = [
    [
      `one SQL statement for ${some} segments, ${whole(full.members)} members`,
      `${whole(perMinute(full.pairs, full.sqlSeconds))} profiles × rules/min`,
    ],
    ...rated(`full recompute, ${some} live segments, nothing changes`, { ...full, ...full.again }),
    ratioTo(full, full.again),
    ...rated('  the first one, which writes every membership', { ...full, ...full.build }),
    ratioTo(full, full.build),
    ...incremental.flatMap((one): [string, string][] => [
      ...rated(`incremental passes, ${one.live} live`, one),
      ['  pairs that pruning skipped, beside it', `${whole(perMinute(one.pruned, one.seconds))}/min`],
    ]),
    [
      `event to membership p50 / p99 at ${whole(EVENTS_PER_SECOND)} events/s, ${some} live`,
      `${ms(steady.membershipP50Ms)} / ${ms(steady.membershipP99Ms)}`,
    ],
    [
      `exit lateness p50 / p99 of ${whole(lapsed.windows)} lapsing windows`,
      `${ms(lapsed.p50Ms)} / ${ms(lapsed.p99Ms)}`,
    ],
    ['membership reads', `${whole(served.readsPerSecond)}/s`],
    ['  p99', ms(served.readP99Ms)],
    [`Redis memory a user, of ${whole(served.people)}`, `${whole(served.bytesPerUser)} bytes`],
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  const lines = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)
  return `\n${lines.join('\n')}\n\n  ${size}; ${machineText()}, commit ${commitOf()}\n\n`
}

function rated(
  name: string,
  { people, pairs, seconds, cpu }: Timing & { people: number; pairs: number },
): [string, string][] {
  return [
    [name, `${whole(perMinute(pairs, seconds))} profiles × rules/min`],
    ['  profiles', `${whole(perMinute(people, seconds))}/min`],
    ['  CPU a profile', cpuText(cpu, people)],
  ]
}

function ratioTo({ sqlSeconds }: Recompute, { seconds }: Timing): [string, string] {
  return ['  ratio to the statement', (sqlSeconds / seconds).toFixed(3)]
}

function cpuText(cpu: Cpu, people: number): string {
  const micros = (seconds: number) => whole((seconds / people) * 1e6)
  return `${micros(cpu.worker)} µs in the worker, ${micros(cpu.postgres)} in Postgres, ${micros(cpu.redis)} in Redis`
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US')
