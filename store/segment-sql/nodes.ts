// A rule's tree as one condition on `p`, and the table of the leaves that SQL can say. Written from docs/SEGMENTS.md, as a
// second opinion: it shares the rule's type with the engine in domain/segments, and nothing else.
import type { RuleNode, SegmentNode } from '../../schema/rule.ts'
import { consentHolds, messageHolds } from './contact.ts'
import { absenceHolds, aggregateHolds, pickHolds, timeHolds } from './events.ts'
import { computedHolds, quantileHolds } from './metrics.ts'
import { anniversaryHolds, dateHolds, geoHolds, listHolds, sampleHolds, traitHolds } from './people.ts'
import { type Fragment, joined, type Scope, unsupported } from './scope.ts'
import { sequenceHolds } from './sequences.ts'

type LeafNode = Exclude<RuleNode, { k: 'all' | 'any' | 'atLeast' | 'not' }>
type Writers = { [K in LeafNode['k']]?: (scope: Scope, node: Extract<LeafNode, { k: K }>) => Fragment }

/** A leaf of the language that is not here is refused as `unsupported`. */
const LEAVES: Writers = {
  trait: traitHolds,
  date: dateHolds,
  anniversary: anniversaryHolds,
  geo: geoHolds,
  sample: sampleHolds,
  segment: segmentHolds,
  list: listHolds,
  computed: computedHolds,
  quantile: quantileHolds,
  consent: consentHolds,
  message: messageHolds,
  agg: aggregateHolds,
  pick: pickHolds,
  time: timeHolds,
  absence: absenceHolds,
  seq: sequenceHolds,
}

export const LEAVES_IN_SQL: ReadonlySet<string> = new Set(Object.keys(LEAVES))

/** True or false, never null. */
export function nodeHolds(scope: Scope, node: RuleNode): Fragment {
  const { sql } = scope
  switch (node.k) {
    case 'all':
      return sql`(${joined(sql, childrenOf(scope, node.of), sql`and`)})`
    case 'any':
      return sql`(${joined(sql, childrenOf(scope, node.of), sql`or`)})`
    case 'atLeast': {
      const holding = childrenOf(scope, node.of).map((child) => sql`${child}::int`)
      return sql`(${joined(sql, holding, sql`+`)} >= ${node.n}::int)`
    }
    case 'not':
      return sql`(not ${nodeHolds(scope, node.of)})`
    default:
      return sql`coalesce(${leafHolds(scope, node)}, false)`
  }
}

function childrenOf(scope: Scope, of: RuleNode[]): Fragment[] {
  return of.map((child) => nodeHolds(scope, child))
}

function leafHolds(scope: Scope, node: LeafNode): Fragment {
  // Which writer goes with which node is said by the type of LEAVES, which the compiler cannot follow through `k`.
  const write = LEAVES[node.k] as ((scope: Scope, node: LeafNode) => Fragment) | undefined
  if (write === undefined) throw unsupported(`"${node.k}"`)
  return write(scope, node)
}

/** Its own members at the same instant, found once however many conditions ask; one that is not there has none. */
function segmentHolds(scope: Scope, { segment }: SegmentNode): Fragment {
  const { sql, segments, rules } = scope
  const rule = rules.get(segment)
  if (rule === undefined) return sql`false`
  let known = segments.get(segment)
  if (known === undefined) {
    const members = nodeHolds(scope, rule.match)
    // Named after what it refers to, which has to stand before it.
    known = { name: sql`${sql(`segment_${segments.size + 1}`)}`, members }
    segments.set(segment, known)
  }
  return sql`(p.profile_id, p.at) in (select m.profile_id, m.at from ${known.name} m)`
}
