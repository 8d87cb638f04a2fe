// Making, defining anew and archiving metrics. Under the lock of segments: a rule that comes to name a metric meanwhile
// either is seen here or sees the change.
import { metricsOf } from '../domain/segments/references.ts'
import { fail, MillraceError } from '../runtime/errors.ts'
import type { MetricDefinition } from '../schema/metric.ts'
import { type MetricRow, readMetric } from './metrics.ts'
import { renewSegmentsOf } from './renewed-segments.ts'
import { lockSegments, mustMeasure, rulesWithMetric } from './segment-references.ts'
import type { BeforeChange, SegmentRow } from './segments.ts'
import { transactionNumber } from './served-memberships.ts'
import { inTransaction, type Sql, type Transaction } from './sql.ts'

export type NewDefinition = {
  definition: MetricDefinition
  definitionHash: string
  author: string
  note: string
}

/** Undefined when the slug is taken, by an archived one too. */
export function createMetric(
  sql: Sql,
  metric: { slug: string; name: string } & NewDefinition,
): Promise<MetricRow | undefined> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const [row] = await tx<{ metric_id: number }[]>`
      insert into metrics (slug, name, live_version) values (${metric.slug}, ${metric.name}, 1)
      on conflict (slug) do nothing
      returning metric_id`
    if (row === undefined) return undefined
    await storeVersion(tx, row.metric_id, 1, metric)
    return readMetric(tx, metric.slug)
  })
}

/**
 * Gives it another definition as a new version, and what names it a new version too; an archived one comes back. Undefined
 * when there is none. Throws `conflict` when a live rule compares it in a way that the new definition does not take.
 */
export function defineMetric(
  sql: Sql,
  slug: string,
  content: NewDefinition,
  beforeChange?: BeforeChange,
): Promise<{ metric: MetricRow; renewed: SegmentRow[] } | undefined> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const before = await readMetric(tx, slug)
    if (before === undefined) return undefined
    await mustBeComparable(tx, before, content.definition)
    const version = before.version + 1
    await storeVersion(tx, before.metricId, version, content)
    await tx`
      update metrics set live_version = ${version}, archived_at = null where metric_id = ${before.metricId}`
    const note = `version ${version} of the metric ${slug}`
    const renewed = await renewSegmentsOf(tx, (node) => node.metric === slug, {
      author: content.author,
      note,
    })
    if (renewed.length > 0) await beforeChange?.(await transactionNumber(tx))
    const metric = await readMetric(tx, slug)
    if (metric === undefined) throw new Error('a metric that is locked is not there')
    return { metric, renewed }
  })
}

/** False when there is none that is not archived. Throws `conflict` while a live segment names it. */
export function archiveMetric(sql: Sql, slug: string): Promise<boolean> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const archived = await tx`
      update metrics set archived_at = clock_timestamp() where slug = ${slug} and archived_at is null`
    if (archived.count === 0) return false
    const [user] = await rulesWithMetric(tx, slug)
    if (user !== undefined)
      throw fail('conflict', `the segment "${user.slug}" names it: change or archive that one first`)
    return true
  })
}

async function storeVersion(
  tx: Transaction,
  metricId: number,
  version: number,
  { definition, definitionHash, author, note }: NewDefinition,
): Promise<void> {
  await tx`
    insert into metric_versions (metric_id, version, definition, definition_hash, author, note)
    values (${metricId}, ${version}, ${tx.json(toJson(definition))}, ${definitionHash}, ${author}, ${note})`
}

async function mustBeComparable(
  tx: Transaction,
  before: MetricRow,
  definition: MetricDefinition,
): Promise<void> {
  for (const { slug, rule } of await rulesWithMetric(tx, before.slug)) {
    for (const { path, node } of metricsOf(rule.match)) {
      if (node.metric !== before.slug) continue
      try {
        mustMeasure({ ...before, definition }, node, path)
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error
        throw fail('conflict', `the segment "${slug}" could not compare it any more: ${error.detail}`)
      }
    }
  }
}

/** The driver's JSON type is narrower than ours; definitions are plain JSON by construction. */
function toJson(value: MetricDefinition): Parameters<Sql['json']>[0] {
  return value as unknown as Parameters<Sql['json']>[0]
}
