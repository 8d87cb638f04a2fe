// The body of persist: jobs gather into a group, a group is one transaction, and each job is acknowledged after its own
// rows are committed and the touched profiles are on their shards' queues. One bad row never fails its group: the group
// is halved until the row stands alone, and it goes to failed_events.
import { askedEvents } from '../../domain/segments/asked.ts'
import type { segment } from '../../queues/pipeline.ts'
import { describeError, errorCodeOf, isInfrastructureError } from '../../runtime/errors.ts'
import { inStep } from '../../runtime/rhythm.ts'
import type { NormalBatch, NormalEvent } from '../../schema/event.ts'
import { isRepeatedMessageId } from '../../store/events.ts'
import { recordFailedEvents } from '../../store/failed-events.ts'
import { StartAgain, settleLeftBehind } from '../../store/joint-transaction.ts'
import type { Servers } from '../../store/servers.ts'
import type { Sql } from '../../store/sql.ts'
import { coalesceJobs, type JobGroups } from '../coalesce.ts'
import type { PoolDeps } from '../define.ts'
import { createSegmentCatalog } from '../live-segments.ts'
import { openCatalog } from './catalog.ts'
import { rejectedEvent } from './failed.ts'
import { createIdCache } from './id-cache.ts'
import { type Kept, keepEvents, type Memory } from './keep.ts'
import { IdentityRace } from './people.ts'
import { createServedFence } from './served-fence.ts'
import { touchedBatches } from './touched.ts'

/** Events of one transaction: large enough to share the fsync, small enough to stay well under the time limit. */
const GROUP_EVENTS = 10_000
/** How long the first job of a group waits for others: little when transactions are quick, longer when all is busy. */
const GROUP_WAIT_MS = { least: 25, most: 150 }
/**
 * Groups under way: some encode while others are in Postgres or wait for its disk. Each holds a connection and may need
 * one more for a moment (a missing partition), so one always stays free.
 */
const PARALLEL_GROUPS = 4
const IDENTITY_RACE_TRIES = 10
const SETTLE_MS = 5_000
/** Between the two phases of another group's commit; when its process died there, the job comes back later. */
const START_AGAIN = { tries: 10, afterMs: 50 }
/** Repeats come in waves (a resend, a restart): after one this many groups do not hope that all their ids are new. */
const WARY_GROUPS = 16

type Deps = PoolDeps<typeof segment>

export function openPersister(deps: Deps): JobGroups<NormalBatch> {
  const memory: Memory = {
    catalog: openCatalog(deps.servers),
    ids: createIdCache(),
    wary: 0,
    fence: createServedFence(deps),
  }
  const segments = createSegmentCatalog()
  const groups = coalesceJobs<NormalBatch>(
    {
      weigh: (batch) => batch.events.length,
      maxWeight: GROUP_EVENTS,
      minWaitMs: GROUP_WAIT_MS.least,
      maxWaitMs: GROUP_WAIT_MS.most,
      parallel: Math.min(PARALLEL_GROUPS, deps.config.postgresPoolSize - 1),
    },
    async (batches) => {
      const events = batches.flatMap((batch) => batch.events)
      const kept = await keepHalving(deps.sql, events, (group) => keepOnce(deps.servers, memory, group))
      // Read after the commit, which makes it safe to leave out who got nothing that a rule asks for: a rule that this
      // look does not see goes live after it, and its backfill finds the rows.
      const { segments: live } = await segments.current(deps.sql)
      const asked = memory.catalog.numbersOf(askedEvents(live.map((one) => one.plan)))
      const touched = kept.touched.filter(
        ({ eventIds }) => eventIds.length === 0 || eventIds.some((eventId) => asked.has(eventId)),
      )
      if (touched.length > 0)
        await deps.send<typeof segment>(...touchedBatches(batches, touched, deps.config.shards))
      observe(deps, events, kept)
    },
  )
  const settling = settleInStep(deps)
  return {
    ...groups,
    async close() {
      settling?.stop()
      await groups.close()
    },
  }
}

/** Of several servers: what another process has left between its two phases locks rows, also those of repeats. */
function settleInStep({ servers, log }: Deps): { stop(): void } | undefined {
  if (servers.all.length === 1) return undefined
  const settle = async () => {
    const settled = await settleLeftBehind(servers)
    if (settled > 0) log.warn({ settled }, 'settled transactions that another process had left prepared')
  }
  let isSettling = false
  return inStep(SETTLE_MS, () => {
    if (isSettling) return
    isSettling = true
    settle()
      .catch((error: unknown) => {
        log.debug({ reason: describeError(error) }, 'prepared transactions cannot all be settled')
      })
      .finally(() => {
        isSettling = false
      })
  })
}

/**
 * One transaction, started again when one of its message ids was there already, another group claimed one of its ids or
 * merged one of its profiles meanwhile.
 */
async function keepOnce(servers: Servers, memory: Memory, events: NormalEvent[]): Promise<Kept> {
  let wary = memory.wary > 0
  for (let attempt = 1; ; attempt++) {
    try {
      const kept = await keepEvents(servers, memory, events, wary)
      const isRepeat = kept.duplicates + kept.conflicts > 0
      memory.wary = isRepeat ? WARY_GROUPS : Math.max(0, memory.wary - 1)
      return kept
    } catch (error) {
      if (isRepeatedMessageId(error) && !wary) {
        wary = true
        continue
      }
      if (error instanceof IdentityRace && attempt < IDENTITY_RACE_TRIES) continue
      if (error instanceof StartAgain && attempt < START_AGAIN.tries) {
        await new Promise((resolve) => setTimeout(resolve, START_AGAIN.afterMs))
        continue
      }
      // A partition dropped by retention while its name was cached: look again, once.
      if (errorCodeOf(error) === '23514' && attempt === 1) {
        memory.catalog.forgetPartitions()
        continue
      }
      throw error
    }
  }
}

/** Keeps all it can: infrastructure errors pass on, anything else halves the group until the bad event stands alone. */
async function keepHalving(
  sql: Sql,
  events: NormalEvent[],
  keep: (events: NormalEvent[]) => Promise<Kept>,
): Promise<Kept> {
  try {
    return await keep(events)
  } catch (error) {
    if (isInfrastructureError(error)) throw error
    const [only] = events
    if (events.length === 1 && only !== undefined) {
      await recordFailedEvents(sql, [rejectedEvent(only, error)])
      return { events: 0, duplicates: 0, conflicts: 0, failed: 1, touched: [] }
    }
    const middle = Math.ceil(events.length / 2)
    // One after the other: both halves at once would double the load just when something is wrong.
    const left = await keepHalving(sql, events.slice(0, middle), keep)
    const right = await keepHalving(sql, events.slice(middle), keep)
    return {
      events: left.events + right.events,
      duplicates: left.duplicates + right.duplicates,
      conflicts: left.conflicts + right.conflicts,
      failed: left.failed + right.failed,
      touched: [...left.touched, ...right.touched],
    }
  }
}

function observe(deps: Deps, events: NormalEvent[], kept: Kept): void {
  const { metrics, clock } = deps
  metrics.events.inc({ stage: 'persist', verdict: 'kept' }, kept.events)
  if (kept.duplicates > 0) metrics.events.inc({ stage: 'persist', verdict: 'duplicate' }, kept.duplicates)
  if (kept.conflicts > 0) metrics.events.inc({ stage: 'persist', verdict: 'conflict' }, kept.conflicts)
  if (kept.failed > 0) metrics.events.inc({ stage: 'persist', verdict: 'failed' }, kept.failed)
  const now = clock.now()
  // A sample is enough for a histogram: every 16th event.
  for (let i = 0; i < events.length; i += 16) {
    const event = events[i]
    if (event !== undefined) metrics.persistedSeconds.observe(Math.max(0, now - event.receivedAt) / 1000)
  }
}
