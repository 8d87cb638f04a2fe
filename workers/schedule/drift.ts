// The drift gauge: some people of every shard are decided from scratch, by SQL that knows nothing of plans and timers, and
// compared with the memberships that the engine keeps. What differs is counted, kept as a row and evaluated again.
//
// No false alarm: each answer and its membership are of one snapshot; nobody is judged whose timer is due, who was touched
// lately, or whose rule or list was changed lately. What still differs is looked at again after a pause, and only what has
// stayed the same, with nothing on the queues that could explain it, is drift.
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { bucketOfProfile, bucketsOfShard, shardOfProfile } from '../../domain/buckets.ts'
import { queueNames } from '../../queues/define.ts'
import { sampleQueues } from '../../queues/depth.ts'
import { persist, segment } from '../../queues/pipeline.ts'
import { describeError, MillraceError } from '../../runtime/errors.ts'
import { beginAtZero } from '../../runtime/instruments.ts'
import type { Counts } from '../../store/schedule-runs.ts'
import {
  type Cursor,
  countProfiles,
  findMismatches,
  type LiveRule,
  liveRules,
  type Mismatch,
  mergedSince,
  profilesAfter,
  readCursor,
  recordDrift,
  writeCursor,
} from '../../store/segment-drift.ts'
import type { ScheduleDeps } from './deps.ts'

/** Longer than an event takes through the pipeline and a stalled job to be taken over. */
const QUIET_MS = 300_000
/** Longer than a pass in flight. */
const PAUSE_MS = 5_000
/** Also where a shard has hardly anybody. */
const FEW_PEOPLE = 5
const SLICE = 200
/** A defect that makes thousands wrong is told by the counter; so many rows are enough to find it by. */
const MAX_ROWS_A_RUN = 100

/** So that the first drift of a segment is an increase too, also when it was made after the last run. */
export async function beginDriftAtZero({ sql, clock, config, metrics }: ScheduleDeps): Promise<void> {
  if (config.driftPeoplePerMillion === 0) return
  const rules = await liveRules(sql, clock.now())
  beginAtZero(metrics.segmentDrift, { segment: rules.map((one) => one.slug) })
}

export async function checkDrift(
  deps: ScheduleDeps,
  signal: AbortSignal,
  { pauseMs = PAUSE_MS } = {},
): Promise<Counts> {
  const counts = { people: 0, segments: 0, unsupported: 0, unsettled: 0, drifted: 0 }
  if (deps.config.driftPeoplePerMillion === 0) return counts
  const rules = await liveRules(deps.sql, deps.clock.now() - QUIET_MS)
  beginAtZero(deps.metrics.segmentDrift, { segment: rules.map((one) => one.slug) })
  const gauge = openGauge(deps, rules)
  const suspects: Mismatch[] = []
  const cursor = await readCursor(deps.sql)
  const lookedAtMs = Date.now()
  for (let shard = 0; shard < deps.config.shards; shard++) {
    const sample = await nextPeople(deps, shard, cursor)
    for (let at = 0; at < sample.length; at += SLICE) {
      signal.throwIfAborted()
      suspects.push(...(await gauge.look(sample.slice(at, at + SLICE))))
    }
    counts.people += sample.length
    await writeCursor(deps.sql, cursor)
  }
  counts.segments = rules.filter((one) => one.isAtRest).length
  counts.unsupported = gauge.unsupported.size
  const quiet = await withoutTouched(deps, suspects)
  counts.unsettled = suspects.length - quiet.length
  if (quiet.length === 0) return counts
  await sleep(pauseMs, undefined, { signal })
  const drifted = (await isPipelineClear(deps, lookedAtMs)) ? await stillWrong(gauge.look, quiet) : []
  counts.unsettled += quiet.length - drifted.length
  counts.drifted = drifted.length
  await report(deps, rules, drifted)
  return counts
}

/** Whoever comes after those of the last run, and from the beginning again after the last one. Moves the cursor. */
async function nextPeople(
  { servers, config }: ScheduleDeps,
  shard: number,
  cursor: Cursor,
): Promise<number[]> {
  const range = bucketsOfShard(shard, config.shards)
  const stored = cursor[shard]
  const after = stored !== undefined && shardOfProfile(stored, config.shards) === shard ? stored : undefined
  const inBucket = await countProfiles(servers, after === undefined ? range.from : bucketOfProfile(after))
  const inShard = inBucket * (range.to - range.from + 1)
  const wanted = Math.max(FEW_PEOPLE, Math.ceil((inShard * config.driftPeoplePerMillion) / 1_000_000))
  const found = await profilesAfter(servers, range, after, wanted)
  if (found.length < wanted && after !== undefined) {
    const again = await profilesAfter(servers, range, undefined, wanted - found.length)
    for (const profileId of again) if (!found.includes(profileId)) found.push(profileId)
  }
  const last = found.at(-1)
  if (last !== undefined) cursor[shard] = last
  return found
}

type Gauge = {
  look(profileIds: number[]): Promise<Mismatch[]>
  /** Segments that SQL cannot say, or not in time. */
  unsupported: Set<string>
}

function openGauge({ sql: home, servers, clock, log }: ScheduleDeps, live: LiveRule[]): Gauge {
  const rules = new Map(live.map((one) => [one.slug, one.rule]))
  const unsupported = new Set<string>()
  return {
    unsupported,
    async look(profileIds) {
      const found: Mismatch[] = []
      for (const [sql, own] of Map.groupBy(profileIds, (profileId) => servers.of(profileId))) {
        for (const { segmentId, slug, rule, isAtRest } of live) {
          if (!isAtRest || unsupported.has(slug)) continue
          const asked = { segmentId, rule, rules, profileIds: own, atMs: clock.now() }
          try {
            found.push(...(await findMismatches({ sql, home }, asked)))
          } catch (error) {
            if (!isOfTheRule(error)) throw error
            unsupported.add(slug)
            log.warn(
              { segment: slug, reason: describeError(error) },
              'SQL cannot check this segment for drift',
            )
          }
        }
      }
      return found
    },
  }
}

/** Postgres' classes 22 and 54, and a statement that took too long: another rule may do better. */
function isOfTheRule(error: unknown): boolean {
  if (error instanceof MillraceError) return error.code === 'unsupported'
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /^(22|54)/.test(code) || code === '57014'
}

/** Who has got an event or another self lately is on the way through the pipeline. */
async function withoutTouched({ sql, clock }: ScheduleDeps, suspects: Mismatch[]): Promise<Mismatch[]> {
  if (suspects.length === 0) return []
  const since = clock.now() - QUIET_MS
  const merged = await mergedSince(
    sql,
    suspects.map((one) => one.profileId),
    since,
  )
  return suspects.filter(({ profileId, touchedAtMs }) => touchedAtMs <= since && !merged.has(profileId))
}

/** Nothing waits in front of a membership since before `sinceMs` (of the wall clock, as jobs are stamped by it). */
async function isPipelineClear({ cache, config }: ScheduleDeps, sinceMs: number): Promise<boolean> {
  const onTheWay = [...queueNames(persist, config.shards), ...queueNames(segment, config.shards)]
  const now = Date.now()
  const { lanes } = await sampleQueues(cache.redis, config.namespace, onTheWay, now)
  return [...lanes.values()].every((lane) => lane.delayed === 0 && lane.oldestAgeMs <= now - sinceMs)
}

async function stillWrong(look: Gauge['look'], suspects: Mismatch[]): Promise<Mismatch[]> {
  const keyOf = ({ profileId, segmentId, expected, touches }: Mismatch) =>
    `${profileId}/${segmentId}/${expected}/${touches}`
  const before = new Set(suspects.map(keyOf))
  const again: Mismatch[] = []
  const profileIds = [...new Set(suspects.map((one) => one.profileId))]
  for (let at = 0; at < profileIds.length; at += SLICE)
    again.push(...(await look(profileIds.slice(at, at + SLICE))))
  return again.filter((one) => before.has(keyOf(one)))
}

/** Counted and kept before they are mended: what a crash leaves is found by the next round. */
async function report(deps: ScheduleDeps, rules: LiveRule[], drifted: Mismatch[]): Promise<void> {
  if (drifted.length === 0) return
  const { sql, clock, config, metrics, log, send } = deps
  const byId = new Map(rules.map((one) => [one.segmentId, one]))
  const now = clock.now()
  for (const { segmentId } of drifted) metrics.segmentDrift.inc({ segment: byId.get(segmentId)?.slug ?? '' })
  const rows = drifted.slice(0, MAX_ROWS_A_RUN)
  await recordDrift(
    sql,
    rows.map((one) => ({ ...one, version: byId.get(one.segmentId)?.version ?? 0 })),
    now,
  )
  log.error({ drifted: drifted.length }, 'memberships differ from their rules; see GET /api/v1/segment-drift')
  const profileIds = [...new Set(drifted.map((one) => one.profileId))].sort((a, b) => a - b)
  const byShard = Map.groupBy(profileIds, (profileId) => shardOfProfile(profileId, config.shards))
  await send(
    segment,
    [...byShard].map(([shard, ids]) => ({
      v: 1 as const,
      batchId: `drift-${now}-${createHash('sha256').update(ids.join(',')).digest('hex').slice(0, 16)}`,
      shard,
      // Triggers no campaign: whoever should have entered long ago is not written to now.
      reason: 'backfill' as const,
      profileIds: ids,
      receivedAt: now,
    })),
  )
}
