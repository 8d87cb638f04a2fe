// Metrics as they are live now. What changes them is in store/metric-changes.ts.
import type { KnownCuts, MeasurableDefinition, Metrics } from '../domain/segments/metrics.ts'
import { metricsOf } from '../domain/segments/references.ts'
import type { MetricDefinition } from '../schema/metric.ts'
import type { Rule } from '../schema/rule.ts'
import { textArray } from './arrays.ts'
import type { Queryable } from './sql.ts'

export type MetricRow = {
  metricId: number
  slug: string
  name: string
  version: number
  definition: MetricDefinition
  definitionHash: string
  createdAt: Date
  archivedAt: Date | null
  /** Cut points are kept for it. */
  keepsCuts: boolean
  cuts: (KnownCuts & { asOf: Date; people: number }) | undefined
}

type Row = Omit<MetricRow, 'cuts'> & {
  cutVersion: number | null
  cutMetricVersion: number
  cutDefinition: MeasurableDefinition
  points: string[]
  asOf: Date
  people: number
}

const rowsOf = (sql: Queryable) => sql`
  select m.metric_id as "metricId", m.slug, m.name, v.version, v.definition, v.definition_hash as "definitionHash",
    m.created_at as "createdAt", m.archived_at as "archivedAt", m.cuts_since is not null as "keepsCuts",
    c.cut_version as "cutVersion", c.metric_version as "cutMetricVersion", w.definition as "cutDefinition", c.points,
    c.as_of as "asOf", c.people
  from metrics m
  join metric_versions v on v.metric_id = m.metric_id and v.version = m.live_version
  left join metric_cuts c on c.metric_id = m.metric_id and c.cut_version = m.live_cuts
  left join metric_versions w on w.metric_id = c.metric_id and w.version = c.metric_version`

function toRow(row: Row): MetricRow {
  const { cutVersion, cutMetricVersion: metricVersion, cutDefinition: definition, points, asOf, people } = row
  const { metricId, slug, name, version, definitionHash, createdAt, archivedAt, keepsCuts } = row
  const cuts =
    cutVersion === null ? undefined : { version: cutVersion, metricVersion, definition, points, asOf, people }
  const own = { metricId, slug, name, version, definition: row.definition, definitionHash }
  return { ...own, createdAt, archivedAt, keepsCuts, cuts }
}

/** Those that are not archived, by slug. */
export async function listMetrics(sql: Queryable): Promise<MetricRow[]> {
  const rows = await sql<Row[]>`${rowsOf(sql)} where m.archived_at is null order by m.slug`
  return rows.map(toRow)
}

export async function readMetric(sql: Queryable, slug: string): Promise<MetricRow | undefined> {
  const rows = await sql<Row[]>`${rowsOf(sql)} where m.slug = ${slug}`
  return rows.map(toRow)[0]
}

/** Those that the rules name, to compile them with; none is read where none is named. */
export async function readMetricsFor(sql: Queryable, rules: Rule[]): Promise<Metrics> {
  const slugs = [...new Set(rules.flatMap((rule) => metricsOf(rule.match).map(({ node }) => node.metric)))]
  if (slugs.length === 0) return new Map()
  const rows = await sql<Row[]>`
    ${rowsOf(sql)} where m.archived_at is null and m.slug = any(${textArray(slugs)}::text[])`
  return toMetrics(rows.map(toRow))
}

export function toMetrics(rows: MetricRow[]): Metrics {
  return new Map(
    rows.map(({ slug, version, definition, cuts }) => [
      slug,
      { version, definition, ...(cuts === undefined ? {} : { cuts }) },
    ]),
  )
}

/** Slugs a refusal looks through for the one that was meant. */
const NEAR_METRICS = 1_000

export async function liveMetricSlugs(sql: Queryable): Promise<string[]> {
  const rows = await sql<{ slug: string }[]>`
    select slug from metrics where archived_at is null order by slug limit ${NEAR_METRICS}`
  return rows.map((row) => row.slug)
}
