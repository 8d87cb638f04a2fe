// Merges what waits for the shards into passes: a busy user is evaluated once a pass, however many jobs name it, and two
// passes side by side serve all shards that this process has work for. Each job is acknowledged after the pass that holds
// its profiles is committed and its changes are announced.

import { tellChanges } from '../../cache/change-news.ts'
import { tellTimers } from '../../cache/timer-news.ts'
import { shardOfProfile } from '../../domain/buckets.ts'
import { announce } from '../../queues/announce.ts'
import type { deliver, segment } from '../../queues/pipeline.ts'
import { continueRun } from '../../queues/segment-runs.ts'
import type { TouchedUsers } from '../../schema/jobs.ts'
import { activeCampaigns, markAnnounced } from '../../store/announcements.ts'
import type { MembershipChange } from '../../store/memberships.ts'
import { segmentRuns } from '../../store/segment-runs.ts'
import type { Sql } from '../../store/sql.ts'
import { coalesceJobs, type JobGroups } from '../coalesce.ts'
import type { PoolDeps } from '../define.ts'
import { createSegmentCatalog, type SegmentCatalog } from '../live-segments.ts'
import { type PassInput, type PassResult, runPass } from './pass.ts'
import { createServe, type Serve } from './serve.ts'

const MAX_PROFILES_A_PASS = 5000
/** Passes grow with the load instead of multiplying; it is also what an entry waits for at the least. */
const GATHER_MS = 120
/** How long a shard that another process is writing is left alone before it is asked for again. */
const BUSY_SHARD_MS = 25

/** Of a run: live passes wait for the shards that it writes. */
const MAX_PROFILES_A_RUN_PASS = 2000

type Deps = PoolDeps<typeof deliver | typeof segment>
/** What the passes of a process share. */
type Tools = { catalog: SegmentCatalog; serve: Serve }

export function openSegmenter(deps: Deps): JobGroups<TouchedUsers> {
  const tools = { catalog: createSegmentCatalog(), serve: createServe(deps) }
  const live = inLanes(() => liveGroups(deps, tools))
  const runs = inLanes(() => runGroups(deps, tools))
  return {
    add: (batch) => (batch.run === undefined ? live : runs).add(batch),
    async close() {
      await live.close()
      await runs.close()
    },
  }
}

/**
 * Passes side by side, each over shards of its own: while one waits for Postgres the other one decides, and neither finds the
 * other's shards busy. By the shard that the sender has counted: where that is another one now, a pass comes again.
 */
function inLanes(open: () => JobGroups<TouchedUsers>): JobGroups<TouchedUsers> {
  const [even, odd] = [open(), open()]
  return {
    add: (batch) => (batch.shard % 2 === 0 ? even : odd).add(batch),
    async close() {
      await Promise.all([even.close(), odd.close()])
    },
  }
}

/** Chunks of runs, in passes of their own: nothing live is put off by them. */
function runGroups(deps: Deps, tools: Tools): JobGroups<TouchedUsers> {
  return coalesceJobs<TouchedUsers>(
    {
      weigh: (batch) => batch.profileIds.length,
      maxWeight: MAX_PROFILES_A_RUN_PASS,
      maxWaitMs: 0,
      parallel: 1,
    },
    async (batches) => {
      for (const [, chunks] of Map.groupBy(batches, ({ run }) => run?.segmentIds.join() ?? '')) {
        const only = new Set(chunks[0]?.run?.segmentIds)
        const changes = await evaluateAll(deps, tools, { reasons: mergeReasons(chunks), only })
        for (const chunk of chunks) await goOn(deps, chunk, changes)
      }
    },
  )
}

async function goOn(deps: Deps, chunk: TouchedUsers, changes: MembershipChange[]): Promise<void> {
  const lastProfileId = chunk.profileIds.at(-1)
  if (chunk.run === undefined || lastProfileId === undefined) return
  const people = new Set(chunk.profileIds)
  // Of a draft that is built its own members count; else those that a shadow gains or loses do not.
  const isDraft = chunk.run.segmentIds.every((segmentId) => segmentId < 0)
  const ops = changes
    .filter((change) => people.has(change.profileId) && change.segmentId < 0 === isDraft)
    .map((change) => change.op)
  const entered = ops.filter((op) => op === 'enter').length
  await continueRun(
    {
      send: deps.send,
      runs: segmentRuns(deps.servers),
      shards: deps.config.shards,
      nowMs: deps.clock.now(),
    },
    chunk.run,
    { lastProfileId, evaluated: people.size, entered, exited: ops.length - entered },
  )
}

function liveGroups(deps: Deps, tools: Tools): JobGroups<TouchedUsers> {
  return coalesceJobs<TouchedUsers>(
    {
      weigh: (batch) => batch.profileIds.length,
      maxWeight: MAX_PROFILES_A_PASS,
      maxWaitMs: GATHER_MS,
      parallel: 1,
    },
    async (batches) => {
      let waiting = batches
      while (waiting.length > 0) {
        const busyShards = await pass(deps, tools, waiting)
        waiting = waiting.filter((batch) => isBusy(batch, busyShards, deps.config.shards))
        if (waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, BUSY_SHARD_MS))
      }
    },
  )
}

/** Evaluates and announces, one server after the other; returns the shards that another process was writing. */
async function pass(deps: Deps, tools: Tools, batches: TouchedUsers[]): Promise<Set<number>> {
  const reasons = mergeReasons(batches)
  const eventIds = mergeEventIds(batches)
  const busyShards = new Set<number>()
  await evaluateAll(deps, tools, { reasons, eventIds, receivedAt: mergeReceipts(batches) }, busyShards)
  const now = deps.clock.now()
  for (const batch of batches) {
    if (batch.reason === 'event' && !isBusy(batch, busyShards, deps.config.shards))
      deps.metrics.membershipSeconds.observe(Math.max(0, now - batch.receivedAt) / 1000)
  }
  return busyShards
}

type Touched = Pick<PassInput, 'reasons' | 'eventIds' | 'receivedAt' | 'only'>

/** One server after the other; adds to `busyShards`, and returns what changed. */
async function evaluateAll(
  deps: Deps,
  tools: Tools,
  { reasons, ...how }: Touched,
  busyShards = new Set<number>(),
): Promise<MembershipChange[]> {
  const byServer = Map.groupBy(reasons, ([profileId]) => deps.servers.of(profileId))
  const changes: MembershipChange[] = []
  const failures: unknown[] = []
  for (const [sql, own] of byServer) {
    try {
      const result = await passOn(sql, deps, tools, { reasons: new Map(own), ...how })
      for (const shard of result.busyShards) busyShards.add(shard)
      changes.push(...result.changes)
    } catch (error) {
      failures.push(error)
    }
  }
  // People of the servers that answer are done all the same; all come again, which is safe.
  if (failures.length > 0) throw failures[0]
  return changes
}

async function passOn(
  sql: Sql,
  deps: Deps,
  { catalog, serve }: Tools,
  touched: Touched,
): Promise<PassResult> {
  const result = await runPass({ sql, home: deps.sql, of: deps.servers.of }, catalog, {
    shards: deps.config.shards,
    secret: deps.config.secret,
    clock: deps.clock,
    ...touched,
  })
  // In one round trip, on its way while the changes are announced.
  const isNews = result.changes.some((one) => one.segmentId > 0)
  const told = Promise.all([
    serve(result.served),
    result.timersWritten && tellTimers(deps.cache),
    isNews && tellChanges(deps.cache),
  ])
  told.catch(() => {})
  for (const change of result.changes.filter((one) => one.segmentId > 0)) {
    deps.metrics.membershipChanges.inc({ op: change.op, reason: change.reason })
  }
  if (result.pending.length > 0) {
    const announced = await announce(result.pending, await activeCampaigns(deps.sql), deps)
    await markAnnounced(sql, announced)
  }
  await told
  return result
}

/** By its profiles, not by the shard it was sent to: the sender may have counted the shards in another way. */
function isBusy(batch: TouchedUsers, busyShards: Set<number>, shards: number): boolean {
  if (busyShards.size === 0) return false
  return batch.profileIds.some((profileId) => busyShards.has(shardOfProfile(profileId, shards)))
}

/** The reason a change is put down to: an event explains more than a timer, a merge more than either. */
const RANK = ['backfill', 'rule_changed', 'time', 'late', 'event', 'merged', 'erased']

function mergeReasons(batches: TouchedUsers[]): Map<number, TouchedUsers['reason']> {
  const reasons = new Map<number, TouchedUsers['reason']>()
  for (const batch of batches) {
    for (const profileId of batch.profileIds) {
      const known = reasons.get(profileId)
      if (known === undefined || RANK.indexOf(batch.reason) > RANK.indexOf(known))
        reasons.set(profileId, batch.reason)
    }
  }
  return reasons
}

/** When the earliest of what touched each was received. */
function mergeReceipts(batches: TouchedUsers[]): Map<number, number> {
  const receipts = new Map<number, number>()
  for (const { profileIds, receivedAt } of batches) {
    for (const profileId of profileIds)
      receipts.set(profileId, Math.min(receivedAt, receipts.get(profileId) ?? receivedAt))
  }
  return receipts
}

/** Event numbers of the profiles that all their batches give them for: one that does not has to be evaluated. */
function mergeEventIds(batches: TouchedUsers[]): Map<number, Set<number>> {
  const merged = new Map<number, Set<number>>()
  const whatever = new Set<number>()
  for (const { profileIds, eventIds } of batches) {
    profileIds.forEach((profileId, i) => {
      const added = eventIds?.[i] ?? []
      if (added.length === 0) whatever.add(profileId)
      const known = merged.get(profileId)
      if (known === undefined) merged.set(profileId, new Set(added))
      else for (const eventId of added) known.add(eventId)
    })
  }
  for (const profileId of whatever) merged.delete(profileId)
  return merged
}
