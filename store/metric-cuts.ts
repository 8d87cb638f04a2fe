// Cut points of metrics: versioned constants that quantiles go by. A new version is a new version of every segment that asks
// for a quantile of the metric, whose run evaluates everybody again.
import type { QuantileNode } from '../schema/rule.ts'
import { textArray } from './arrays.ts'
import { type MetricRow, readMetric } from './metrics.ts'
import { renewSegmentsOf } from './renewed-segments.ts'
import { lockSegments } from './segment-references.ts'
import type { SegmentRow } from './segments.ts'
import { inTransaction, type Sql } from './sql.ts'

/** From now on they are worked out every hour. */
export async function keepCuts(sql: Sql, slug: string): Promise<void> {
  await sql`
    update metrics set cuts_since = coalesce(cuts_since, clock_timestamp())
    where slug = ${slug} and archived_at is null`
}

export type NewCuts = { asOf: Date; people: number; points: string[] }

/**
 * Makes cut points of the metric, as `metric` was read before, the live ones. Undefined when it was changed, archived or cut by
 * somebody else meanwhile.
 */
export function storeCuts(
  sql: Sql,
  metric: MetricRow,
  { asOf, people, points }: NewCuts,
): Promise<SegmentRow[] | undefined> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const now = await readMetric(tx, metric.slug)
    if (now === undefined || now.archivedAt !== null || now.version !== metric.version) return undefined
    if (now.cuts?.version !== metric.cuts?.version) return undefined
    const version = (now.cuts?.version ?? 0) + 1
    await tx`
      insert into metric_cuts (metric_id, cut_version, metric_version, as_of, people, points)
      values (${now.metricId}, ${version}, ${now.version}, ${asOf}, ${people}, ${textArray(points)}::text[])`
    await tx`update metrics set live_cuts = ${version} where metric_id = ${now.metricId}`
    const asks = (node: { k: string; metric: string }): node is QuantileNode =>
      node.k === 'quantile' && node.metric === metric.slug
    return renewSegmentsOf(tx, asks, {
      author: 'schedule',
      note: `cut points ${version} of the metric ${metric.slug}`,
    })
  })
}
