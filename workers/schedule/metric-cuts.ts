// Works out where people are parted for quantiles: every metric whose cut points are kept, over everybody, in one walk through
// all people of all servers. A metric that is asked for meanwhile is taken in another walk of the same run.
import { BUCKETS } from '../../domain/buckets.ts'
import { isMeasurable } from '../../domain/segments/metrics.ts'
import { type ComputedLeaf, compileMetrics } from '../../domain/segments/plan.ts'
import { cutPoints, haveMoved, orderedValue } from '../../domain/segments/quantiles.ts'
import { type RunDeps, startRuns } from '../../queues/segment-runs.ts'
import { openPlan, readFacts } from '../../store/facts.ts'
import { profilesOfBuckets } from '../../store/memberships.ts'
import { storeCuts } from '../../store/metric-cuts.ts'
import { listMetrics, type MetricRow, toMetrics } from '../../store/metrics.ts'
import type { Counts } from '../../store/schedule-runs.ts'
import { segmentRuns } from '../../store/segment-runs.ts'
import type { ScheduleDeps } from './deps.ts'

/** People that are looked at in one statement. */
const SLICE = 2_000

/** `metrics` = worked out; `moved` = of these, those that have new cut points; `segments` = live ones that go by them. */
export async function recomputeCuts(deps: ScheduleDeps, signal: AbortSignal): Promise<Counts> {
  const counts = { metrics: 0, moved: 0, segments: 0 }
  const done = new Set<string>()
  for (;;) {
    const metrics = (await listMetrics(deps.sql)).filter(
      ({ slug, keepsCuts, definition }) => keepsCuts && isMeasurable(definition) && !done.has(slug),
    )
    if (metrics.length === 0) break
    const asOfMs = deps.clock.now()
    const values = await valuesOfAll(deps, metrics, asOfMs, signal)
    for (const metric of metrics) {
      done.add(metric.slug)
      counts.metrics += 1
      const renewed = await storeIfMoved(deps, metric, values.get(metric.slug) ?? [], asOfMs)
      if (renewed === undefined) continue
      counts.moved += 1
      counts.segments += renewed
    }
  }
  if (counts.segments > 0) await startRuns(runsOf(deps))
  return counts
}

function runsOf({ send, servers, config, clock }: ScheduleDeps): RunDeps {
  return { send, runs: segmentRuns(servers), shards: config.shards, nowMs: clock.now() }
}

/** The values of everybody who has one, by metric, in no order. 8 bytes a person and metric. */
async function valuesOfAll(
  deps: ScheduleDeps,
  metrics: MetricRow[],
  asOfMs: number,
  signal: AbortSignal,
): Promise<Map<string, number[]>> {
  const { servers } = deps
  const plan = compileMetrics(toMetrics(metrics))
  const asked = await openPlan(deps, plan, [])
  const values = new Map(plan.leaves.map(({ metric }) => [metric, [] as number[]]))
  const look = (leaf: ComputedLeaf, facts: Parameters<typeof orderedValue>[1]) => {
    const value = orderedValue(leaf.of, facts, asOfMs)
    if (value !== undefined) values.get(leaf.metric)?.push(value)
  }
  let afterProfileId: number | undefined
  for (;;) {
    signal.throwIfAborted()
    const slice = { from: 0, to: BUCKETS - 1, afterProfileId, limit: SLICE }
    const profileIds = await profilesOfBuckets(servers, slice)
    for (const [sql, own] of Map.groupBy(profileIds, (profileId) => servers.of(profileId)))
      for (const facts of await readFacts(sql, asked, own, asOfMs))
        for (const leaf of plan.leaves) look(leaf, facts)
    if (profileIds.length < SLICE) break
    afterProfileId = profileIds.at(-1)
  }
  return values
}

/** How many segments go by the new points; undefined when the old ones stay, as they do while nobody has a value. */
async function storeIfMoved(
  { sql }: ScheduleDeps,
  metric: MetricRow,
  values: number[],
  asOfMs: number,
): Promise<number | undefined> {
  if (values.length === 0) return undefined
  const sorted = Float64Array.from(values).sort()
  const points = cutPoints(sorted)
  const { cuts, version } = metric
  if (cuts?.metricVersion === version && !haveMoved(cuts.points, points, sorted)) return undefined
  const renewed = await storeCuts(sql, metric, { asOf: new Date(asOfMs), people: sorted.length, points })
  return renewed?.length
}
