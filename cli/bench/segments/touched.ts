// Incremental passes: people named to the segment pool as persist names them, each with the number of one new event, so
// that only the rules that ask for it are decided. The people are the same every time and have been evaluated before:
// what is measured is deciding, not entering.

import { shardOfProfile } from '../../../domain/buckets.ts'
import { askedBy, askedEvents } from '../../../domain/segments/asked.ts'
import { closureOf } from '../../../domain/segments/references.ts'
import { segment } from '../../../queues/pipeline.ts'
import type { TouchedUsers } from '../../../schema/jobs.ts'
import { keyOf, readEventIds } from '../../../store/histories.ts'
import { liveSegments } from '../../../store/segments.ts'
import { EVENTS } from './rules.ts'
import { type Cpu, type SegmentBench, whenDrained, withCpu } from './world.ts'

/** People of one group of persist. */
const GROUP = 10_000
/** Or a quarter of all, if that is less. */
const MAX_PEOPLE = 100_000

export type Incremental = {
  live: number
  people: number
  seconds: number
  /** Profiles × rules that were decided. */
  pairs: number
  /** Those that no new event touches: left out by the pass. */
  pruned: number
  cpu: Cpu
}

/** With the segments that are live now. */
export async function incrementalPasses(bench: SegmentBench): Promise<Incremental> {
  const { sql } = bench
  const touched = await choosePeople(bench)
  const live = await liveSegments(sql)
  const pairs = await decidedPairs(bench, touched)
  // The first time they enter what they belong to since the last look.
  await evaluate(bench, touched, `settle-${live.length}`)
  const { result: seconds, cpu } = await withCpu(bench, () =>
    evaluate(bench, touched, `measure-${live.length}`),
  )
  return {
    live: live.length,
    people: touched.length,
    seconds,
    pairs,
    pruned: touched.length * live.length - pairs,
    cpu,
  }
}

type Touched = { profileId: number; eventId: number }

async function choosePeople({ sql, users, eventIds }: SegmentBench): Promise<Touched[]> {
  const wanted = Math.min(Math.ceil(users / 4), MAX_PEOPLE)
  const rows = await sql<{ profile_id: number }[]>`
    select profile_id from profiles
    where (profile_id >> 10) % ${Math.max(1, Math.floor(users / wanted))} = 0
    order by hashint8extended(profile_id, 3)
    limit ${wanted}`
  const numbers = EVENTS.map((name) => eventIds.get(name) ?? 0)
  return rows.map((row, i) => ({ profileId: row.profile_id, eventId: numbers[i % numbers.length] ?? 0 }))
}

/** By what the product itself asks a rule: the numbers of the events that it and those that it refers to look at. */
async function decidedPairs({ sql }: SegmentBench, touched: Touched[]): Promise<number> {
  const live = await liveSegments(sql)
  const plans = live.map((one) => one.plan)
  const bySlug = new Map(live.map((one) => [one.slug, one.plan]))
  const numbers = await readEventIds(sql, askedEvents(plans))
  const rulesOf = new Map<number, number>()
  for (const plan of plans) {
    const asked = closureOf(plan, bySlug).flatMap(askedBy)
    for (const eventId of new Set(
      asked.flatMap((one) => numbers.get(keyOf(one)) ?? []).map((one) => one.eventId),
    ))
      rulesOf.set(eventId, (rulesOf.get(eventId) ?? 0) + 1)
  }
  return touched.reduce((sum, { eventId }) => sum + (rulesOf.get(eventId) ?? 0), 0)
}

/** Seconds from the first job sent until none is left. */
async function evaluate(bench: SegmentBench, touched: Touched[], name: string): Promise<number> {
  const { sender, stack } = bench
  const messages: TouchedUsers[] = []
  const receivedAt = Date.now()
  for (let from = 0; from < touched.length; from += GROUP) {
    const group = touched.slice(from, from + GROUP)
    for (const [shard, own] of Map.groupBy(group, (one) =>
      shardOfProfile(one.profileId, stack.config.shards),
    )) {
      messages.push({
        v: 1,
        batchId: `bench-${name}-${from}`,
        shard,
        reason: 'event',
        profileIds: own.map((one) => one.profileId),
        eventIds: own.map((one) => [one.eventId]),
        receivedAt,
      })
    }
  }
  const bar = bench.bar(name.split('-')[0] ?? name, touched.length)
  const startedAt = performance.now()
  await sender.send(segment, messages)
  const endedAt = await whenDrained(bench, (jobs) =>
    bar.set(Math.round(touched.length * (1 - Math.min(jobs, messages.length) / messages.length))),
  )
  bar.done()
  return (endedAt - startedAt) / 1000
}
