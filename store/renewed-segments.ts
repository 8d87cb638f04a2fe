// What a change of a metric makes of the segments that name it: plans hold its definition and its cut points, so that they
// are made anew. Called by the stores that change metrics, in their transactions.
import { compileRule } from '../domain/segments/plan.ts'
import { metricsOf } from '../domain/segments/references.ts'
import type { ComputedNode, QuantileNode, Rule } from '../schema/rule.ts'
import { readMetricsFor } from './metrics.ts'
import { bumpGeneration } from './segment-generation.ts'
import { createRun } from './segment-runs.ts'
import { goLive, insertVersion, listSegments, readSegment, type SegmentRow } from './segments.ts'
import type { Sql, Transaction } from './sql.ts'

/**
 * Every live segment with a condition that is concerned gets a new version, with the
 * same rule and the plan that it makes now, and everybody is to be evaluated again. A shadow keeps its number: nobody has gone
 * by it yet, or nobody does any more.
 */
export async function renewSegmentsOf(
  tx: Transaction,
  isConcerned: (node: ComputedNode | QuantileNode) => boolean,
  by: { author: string; note: string },
): Promise<SegmentRow[]> {
  const asks = (rule: Rule) => metricsOf(rule.match).some(({ node }) => isConcerned(node))
  for (const segment of await listSegments(tx)) await renewShadow(tx, segment, asks)
  const renewed: SegmentRow[] = []
  for (const { segmentId, slug, rule } of await listSegments(tx)) {
    if (rule === null || !asks(rule)) continue
    const [row] = await tx<{ rule_hash: string }[]>`
      update segment_versions set status = 'retired' where segment_id = ${segmentId} and status = 'live'
      returning rule_hash`
    const content = { rule, ruleHash: row?.rule_hash ?? '', ...by, status: 'live' as const }
    const version = await insertVersion(tx, segmentId, content)
    await goLive(tx, { segmentId, slug, version, reason: 'rule_changed' })
    const segment = await readSegment(tx, String(segmentId))
    if (segment !== undefined) renewed.push(segment)
  }
  return renewed
}

async function renewShadow(
  tx: Transaction,
  { segmentId, shadow }: SegmentRow,
  asks: (rule: Rule) => boolean,
): Promise<void> {
  if (shadow === null) return
  const { version } = shadow
  const [row] = await tx<{ rule: Rule }[]>`
    select rule from segment_versions where segment_id = ${segmentId} and version = ${version}`
  if (row === undefined || !asks(row.rule)) return
  const plan = compileRule(row.rule, await readMetricsFor(tx, [row.rule]))
  const run = await createRun(tx, {
    ...{ of: { segmentId }, version, reason: 'rule_changed', source: 'everybody' },
    segmentIds: [-segmentId],
  })
  // A draft can be published when everybody has been evaluated for what it says now.
  const isBuilding = shadow.status !== 'retired' && run !== undefined
  await tx`
    update segment_versions
    set plan = ${tx.json(plan as unknown as Parameters<Sql['json']>[0])}, status = case when ${isBuilding} then 'building' else status end
    where segment_id = ${segmentId} and version = ${version}`
  await bumpGeneration(tx)
}
