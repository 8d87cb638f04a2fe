// Two, then eight processes of the segment pool on 16 shards, under a load whose windows lapse within seconds, with one killed every
// few seconds: no change is lost, doubled or contradictory, and no output comes twice.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobsInFlow } from '../../cli/demo/counts.ts'
import { DEMO_RULE, DEMO_SEGMENT } from '../../cli/demo/setup.ts'
import { type PoolProcess, startPoolProcess } from '../../cli/local/children.ts'
import { checkRule } from '../../domain/segments/version.ts'
import { connectProducer, whenReady } from '../../queues/connection.ts'
import { queueNames } from '../../queues/define.ts'
import { persist, segment } from '../../queues/pipeline.ts'
import { createSender } from '../../queues/sender.ts'
import type { NormalEvent } from '../../schema/event.ts'
import type { RuleNode } from '../../schema/rule.ts'
import { createCampaign } from '../../store/campaigns.ts'
import { createSegment, readSegment } from '../../store/segments.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { printTable } from './judge.ts'
import { type JudgedSegment, judgeChanges, judgeMembers, judgeOutput } from './judge-segments.ts'

const SHARDS = 16
const PEOPLE = 160
const PHASES = [
  { processes: 2, ms: 25_000 },
  { processes: 8, ms: 35_000 },
]
const EVENTS_PER_SECOND = 50
const KILL_EVERY_MS = { least: 2000, most: 3000 }

const rolling = (last: string) => ({ k: 'rolling', last }) as const
const pings = (last: string, value: number): RuleNode => ({
  ...{ k: 'agg', event: 'Ping', agg: 'count', window: rolling(last), op: 'gte', value },
})
/** Each looks either at traits or at events without properties, so that its pass reads all of it in one statement. */
const RULES: Record<string, RuleNode> = {
  'pinged-twice': pings('PT4S', 2),
  spenders: {
    ...{ k: 'agg', event: 'Order Completed', agg: 'sum', prop: 'revenue' },
    ...{ window: rolling('PT9S'), op: 'gt', value: 300 },
  },
  silent: { k: 'absence', event: 'Ping', window: rolling('PT6S') },
  'only-looked': {
    ...{ k: 'seq', window: rolling('PT11S'), steps: [{ event: 'Viewed' }] },
    none: { event: 'Order Completed', within: 'PT3S' },
  },
  'gone-quiet': { k: 'time', event: 'Ping', pick: 'last', op: 'olderThan', ago: 'PT5S' },
  regulars: { ...pings('P1D', 9), window: { k: 'lifetime' } } as RuleNode,
  gold: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' },
  'active-or-spending': {
    k: 'any',
    of: [
      { k: 'segment', segment: 'pinged-twice' },
      { k: 'not', of: { k: 'any', of: [{ k: 'segment', segment: 'silent' }, pings('PT8S', 1)] } },
      { k: 'segment', segment: 'spenders' },
    ],
  },
}

let deployment: Deployment
let segments: JudgedSegment[]
const workers: PoolProcess[] = []
const others: PoolProcess[] = []

const start = async (pool: string, into: PoolProcess[]) => {
  const { env, config } = deployment.stack
  const logDir = join(config.dataDir, 'logs')
  into.push(await startPoolProcess({ pools: [pool], env, logDir, stopDeadlineMs: config.stopDeadlineMs }))
}

beforeAll(async () => {
  deployment = await startDeployment({
    processes: [],
    // A job may meet several kills in a row; ten processes on two cores may keep each other from renewing locks for a while.
    config: { shards: SHARDS, lockMs: 8000, stalledCheckMs: 1000, scheduleTickMs: 200, maxStalls: 50 },
  })
  const { sql, stack } = deployment
  await sql`alter system set track_commit_timestamp = on`
  await stack.postgres?.restartImmediate()
  segments = []
  for (const [slug, match] of Object.entries(RULES)) {
    const checked = checkRule({ match })
    const made = await createSegment(sql, { slug, name: slug, author: '', note: '', ...checked })
    segments.push({ segmentId: made?.segmentId ?? 0, slug, rule: checked.rule })
  }
  const demo = await readSegment(sql, DEMO_SEGMENT)
  segments.push({ segmentId: demo?.segmentId ?? 0, slug: DEMO_SEGMENT, rule: checkRule(DEMO_RULE).rule })
  await createCampaign(sql, {
    ...{ name: 'Twice', segmentId: segments[0]?.segmentId ?? 0 },
    channels: [{ channel: 'webhook', subject: '', body: '', html: null }],
  })
  for (const pool of ['persist', 'deliver', 'schedule']) await start(pool, others)
}, 120_000)
afterAll(async () => {
  await Promise.all([...workers, ...others].map((one) => one.stop()))
  await deployment?.close()
}, 60_000)

/** One in ten says another plan; the others ping, look and order. */
function randomEvent(sourceId: number): NormalEvent {
  const number = Math.floor(Math.random() * PEOPLE)
  const said = { userId: `person-${number}`, time: Date.now(), receivedAt: Date.now(), sourceId }
  const dice = Math.random()
  if (dice < 0.1) {
    const plan = Math.random() < 0.5 ? 'gold' : 'silver'
    return normalEvent({ ...said, type: 'identify', name: '', ...traitsOf({ plan }) })
  }
  if (dice < 0.6) return normalEvent({ ...said, name: 'Ping' })
  if (dice < 0.75) return normalEvent({ ...said, name: 'Viewed' })
  return normalEvent({ ...said, name: 'Order Completed', value: '19950', currency: 'USD' })
}

const traitsOf = (traits: Record<string, unknown>) => ({ traits, properties: JSON.stringify(traits) })

/** Sends until it is stopped; `stop` resolves with how many events were sent. */
async function startLoad(): Promise<{ stop(): Promise<number> }> {
  const { redisUrl, namespace } = deployment.stack.config
  const redis = connectProducer(redisUrl)
  await whenReady(redis)
  const sender = createSender({ redis, namespace })
  const [source] = await deployment.sql<{ source_id: number }[]>`select source_id from sources limit 1`
  const sourceId = source?.source_id ?? 1
  const known = Array.from({ length: PEOPLE }, (_, number) => {
    const userId = `person-${number}`
    const traits = { email: `${userId}@shop.example`, pushToken: `token-${userId}` }
    const said = { userId, sourceId, time: Date.now(), receivedAt: Date.now() }
    return normalEvent({ ...said, type: 'identify', name: '', ...traitsOf(traits) })
  })
  await sender.send(persist, [normalBatch(known)])
  let sent = known.length
  let isOn = true
  const beganAt = performance.now()
  const running = (async () => {
    while (isOn) {
      const due = known.length + Math.floor(((performance.now() - beganAt) / 1000) * EVENTS_PER_SECOND) - sent
      if (due > 0) {
        await sender.send(persist, [normalBatch(Array.from({ length: due }, () => randomEvent(sourceId)))])
        sent += due
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })()
  return {
    async stop() {
      isOn = false
      await running
      await sender.close()
      redis.disconnect()
      return sent
    },
  }
}

/** Kills one after the other, in turns; returns how many, and how many jobs the processes held at these moments. */
async function killFor(ms: number): Promise<{ kills: number; held: number }> {
  const lanes = queueNames(segment, SHARDS)
  const until = performance.now() + ms
  let kills = 0
  let held = 0
  for (;;) {
    const { least, most } = KILL_EVERY_MS
    await new Promise((resolve) => setTimeout(resolve, least + Math.random() * (most - least)))
    if (performance.now() > until) return { kills, held }
    const victim = workers[kills % workers.length]
    // Met at work where it can be; a process that is still on its way up has none.
    for (let tries = 0; tries < 20; tries++) {
      const active = await deployment.activeJobs(lanes)
      if (active === 0) continue
      held += active
      break
    }
    victim?.kill('SIGKILL')
    kills += 1
  }
}

test('segments under kills: two, then eight processes lose, double and contradict nothing', async () => {
  const { sql, redis, stack, dataDir } = deployment
  const beganAt = performance.now()
  const figures: Record<string, unknown> = {}
  let struck = 0
  const load = await startLoad()
  for (const { processes, ms } of PHASES) {
    while (workers.length < processes) await start('segment', workers)
    const { kills, held } = await killFor(ms)
    struck += held
    const [passes] = await sql<{ n: number }[]>`select count(*)::int as n from segment_passes`
    const [changes] = await sql<{ n: number }[]>`select count(*)::int as n from membership_changes`
    figures[`${processes} processes`] = {
      kills,
      'jobs they held': held,
      passes: passes?.n,
      changes: changes?.n,
    }
  }
  const sent = await load.stop()
  const kept = async () => (await sql<{ n: number }[]>`select count(*)::int as n from events`)[0]?.n
  await waitFor(async () => (await kept()) === sent, { timeoutMs: 60_000, what: 'every event' })
  await waitFor(async () => (await jobsInFlow(redis, stack.config)) === 0, {
    ...{ timeoutMs: 120_000, everyMs: 20, what: 'empty queues' },
  })
  const underWay = await judgeMembers(sql, segments)
  await waitFor(
    async () =>
      (await sql`select 1 from segment_timers where wake_at < now() + interval '15 s' limit 1`).length === 0,
    { timeoutMs: 90_000, everyMs: 200, what: 'every short window to lapse' },
  )
  await deployment.settled(90_000)
  const atRest = await judgeMembers(sql, segments)
  const changes = await judgeChanges(sql, segments, SHARDS)
  const output = await judgeOutput(sql)
  const [passes] = await sql<{ passes: number; idle: number; shards: number; lag: number }[]>`
    select count(*)::int as passes, count(*) filter (where entered + exited = 0)::int as idle,
      (select count(distinct shard)::int from segment_passes, unnest(shards) as shard) as shards,
      max(lag_ms) as lag
    from segment_passes`
  const failed = await sql`select stage, code, reason from failed_events`
  const webhooks = (await readFile(join(dataDir, 'outbox', 'webhook.jsonl'), 'utf8')).trimEnd().split('\n')
  const ids = webhooks.map((line) => String(JSON.parse(line).id))
  printTable('segment processes killed', {
    ...{ seconds: Math.round((performance.now() - beganAt) / 1000), events: sent, ...figures, passes },
    restarts: workers.map((one) => one.restarts()),
    ...{ changes, 'members under way': underWay, 'members at rest': atRest, output, webhooks: ids.length },
  })
  expect(changes, 'no change is doubled, contradictory or mistimed').toMatchObject({
    ...{ doubled: 0, contradictory: 0, mistimed: 0, unaccounted: 0 },
  })
  expect(underWay, 'who is in is who should be, while windows are open').toMatchObject({ wrong: 0 })
  expect(atRest, 'who is in is who should be').toMatchObject({ people: PEOPLE, wrong: 0 })
  expect(output, 'one delivery an entry, campaign and channel').toMatchObject({
    ...{ missing: 0, unexpected: 0, doubled: 0, unannounced: 0 },
  })
  expect(new Set(ids).size, 'no webhook came twice').toBe(ids.length)
  expect(failed, 'nothing was set aside').toEqual([])
  expect(passes?.shards, 'shards that had passes').toBe(SHARDS)
  expect(struck, 'jobs that were under way at the kills').toBeGreaterThan(0)
  expect(changes.byReason.time ?? 0, 'changes that time alone made').toBeGreaterThan(100)
  expect(atRest.members, 'memberships in the end').toBeGreaterThan(PEOPLE)
}, 400_000)
