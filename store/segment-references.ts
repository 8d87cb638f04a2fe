// What segments refer to, as they are live now: other segments, lists and metrics. Checked in the transaction that changes one, under a
// lock, so that two changes at once cannot make a circle, nor one take away what the other has just come to need.

import { comparedWith, isMeasurable, type KnownMetric } from '../domain/segments/metrics.ts'
import { fault, suggest } from '../domain/segments/parse-values.ts'
import {
  listsOf,
  metricsOf,
  referencesOf,
  refusedReference,
  sentCampaignsOf,
} from '../domain/segments/references.ts'
import { fail } from '../runtime/errors.ts'
import type { ComputedNode, QuantileNode, Rule } from '../schema/rule.ts'
import { textArray } from './arrays.ts'
import { liveMetricSlugs, readMetricsFor } from './metrics.ts'
import type { Queryable, Transaction } from './sql.ts'

/** Until the end of the transaction nobody else changes a segment, or which lists there are. */
export async function lockSegments(tx: Transaction): Promise<void> {
  await tx`select pg_advisory_xact_lock(hashtextextended(current_schema() || '.segments', 0))`
}

/** Throws `invalid_rule` when the rule, as that of `slug`, names what is not there, or comes back to itself. */
export async function mustReferWell(sql: Queryable, slug: string, rule: Rule): Promise<void> {
  await mustNameLists(sql, rule)
  await mustNameMetrics(sql, rule)
  await mustNameCampaigns(sql, rule)
  const references = referencesOf(rule.match)
  if (references.length === 0) return
  const refused = refusedReference(slug, references, await liveReferences(sql, slug))
  if (refused !== undefined) throw fail('invalid_rule', `rule.match ${refused}`, { field: 'rule.match' })
}

/** Throws `conflict` when another segment, or its draft, refers to it. */
export async function mustNotBeReferredTo(sql: Queryable, slug: string): Promise<void> {
  for (const other of await evaluatedRules(sql))
    if (other.slug !== slug && referencesOf(other.rule.match).includes(slug))
      throw fail('conflict', `the segment "${other.slug}" refers to it: change or archive that one first`)
}

/** Names a refusal looks through for the one that was meant. */
const NEAR_NAMES = 1_000

async function mustNameLists(sql: Queryable, rule: Rule): Promise<void> {
  const named = listsOf(rule.match)
  if (named.length === 0) return
  const rows = await sql<{ slug: string }[]>`
    select slug from lists where slug = any(${textArray(named.map((one) => one.list))}::text[])`
  const found = new Set(rows.map((row) => row.slug))
  const missing = named.find((one) => !found.has(one.list))
  if (missing === undefined) return
  const known = await sql<{ slug: string }[]>`select slug from lists order by slug limit ${NEAR_NAMES}`
  const meant = suggest(
    missing.list,
    known.map((row) => row.slug),
  )
  throw fault(missing.path, `names no list: there is no "${missing.list}"${meant}`)
}

/** There is each metric, and it can be compared so. */
async function mustNameMetrics(sql: Queryable, rule: Rule): Promise<void> {
  const named = metricsOf(rule.match)
  if (named.length === 0) return
  const metrics = await readMetricsFor(sql, [rule])
  for (const { path, node } of named) {
    const metric = metrics.get(node.metric)
    if (metric === undefined) {
      const meant = suggest(node.metric, await liveMetricSlugs(sql))
      throw fault(`${path}.metric`, `names no metric: there is no "${node.metric}"${meant}`)
    }
    mustMeasure(metric, node, path)
  }
}

/** Throws `invalid_rule` when the metric cannot be asked in this way. */
export function mustMeasure(metric: KnownMetric, node: ComputedNode | QuantileNode, path: string): void {
  if (node.k === 'computed') {
    comparedWith(metric.definition, node, path)
    return
  }
  if (!isMeasurable(metric.definition))
    throw fault(
      `${path}.metric`,
      'has no quantiles: it is a property of an event, not a number that is counted or measured',
    )
  if (metric.cuts === undefined)
    throw fault(
      `${path}.metric`,
      `has no cut points yet: ask for them with POST /api/v1/metrics/${node.metric}/cuts, and come again when they are there`,
    )
}

/** Rules that name the metric, live ones and shadows. */
export async function rulesWithMetric(sql: Queryable, metric: string): Promise<EvaluatedRule[]> {
  const rules = await evaluatedRules(sql)
  return rules.filter(({ rule }) => metricsOf(rule.match).some(({ node }) => node.metric === metric))
}

/** Campaigns of other tools have opens and clicks, but only our own are sent by us. */
async function mustNameCampaigns(sql: Queryable, rule: Rule): Promise<void> {
  const named = sentCampaignsOf(rule.match)
  if (named.length === 0) return
  const names = textArray(named.map((one) => one.campaign))
  const rows = await sql<{ named: string }[]>`
    select n.named from unnest(${names}::text[]) as n (named)
    where exists (select 1 from campaigns c where c.name = n.named or c.campaign_id::text = n.named)`
  const found = new Set(rows.map((row) => row.named))
  const missing = named.find((one) => !found.has(one.campaign))
  if (missing === undefined) return
  const known = await sql<{ name: string }[]>`select name from campaigns order by name limit ${NEAR_NAMES}`
  const meant = suggest(
    missing.campaign,
    known.map((row) => row.name),
  )
  throw fault(missing.path, `names no campaign: there is no "${missing.campaign}"${meant}`)
}

/** A segment that asks about the list, itself or as a draft; undefined when none does. */
export async function segmentWithList(sql: Queryable, list: string): Promise<string | undefined> {
  return (await evaluatedRules(sql)).find((one) => asksAbout(one, list))?.slug
}

/**
 * What has to be evaluated again when the answer of a segment or list has changed: all that ask about it, directly or by
 * another segment. Negative = the shadow of that segment.
 */
export async function askersOf(sql: Queryable, of: { slug: string } | { list: string }): Promise<number[]> {
  const rules = await evaluatedRules(sql)
  const found = new Set<EvaluatedRule>('list' in of ? rules.filter((one) => asksAbout(one, of.list)) : [])
  const changed = new Set('slug' in of ? [of.slug] : slugsOfLive(found))
  for (const slug of changed) {
    const askers = rules.filter((one) => referencesOf(one.rule.match).includes(slug))
    for (const one of askers) found.add(one)
    for (const one of slugsOfLive(askers)) changed.add(one)
  }
  return [...found].map((one) => one.segmentId)
}

/** Others ask a segment for its live rule, never for its shadow. */
function slugsOfLive(rules: Iterable<EvaluatedRule>): string[] {
  return [...rules].filter((one) => one.segmentId > 0).map((one) => one.slug)
}

function asksAbout({ rule }: EvaluatedRule, list: string): boolean {
  return listsOf(rule.match).some((one) => one.list === list)
}

/** What every live segment but `slug` refers to. */
async function liveReferences(sql: Queryable, slug: string): Promise<Map<string, string[]>> {
  const others = (await evaluatedRules(sql)).filter((one) => one.segmentId > 0 && one.slug !== slug)
  return new Map(others.map((one) => [one.slug, referencesOf(one.rule.match)]))
}

type EvaluatedRule = { segmentId: number; slug: string; rule: Rule }

/** Live rules, and shadows under the negative number. */
async function evaluatedRules(sql: Queryable): Promise<EvaluatedRule[]> {
  return sql<EvaluatedRule[]>`
    select case when v.version = s.live_version then s.segment_id else -s.segment_id end as "segmentId", s.slug, v.rule
    from segments s
    join segment_versions v on v.segment_id = s.segment_id and v.version in (s.live_version, s.shadow_version)
    where s.archived_at is null
    order by s.segment_id`
}
