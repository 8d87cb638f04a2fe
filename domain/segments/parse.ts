// Checks a rule as it came in and gives it its type. Every refusal names the path of the fault, what was expected and,
// where a word is close to a known one, a suggestion. Nothing of a rule reaches SQL as text: values become parameters.
import { RULE_LIMITS, type Rule, type RuleNode } from '../../schema/rule.ts'
import { consentAt, messageAt } from './parse-contact.ts'
import { absenceAt, aggregateAt, pickAt, sequenceAt, timeAt } from './parse-events.ts'
import { computedAt, quantileAt } from './parse-metrics.ts'
import {
  anniversaryAt,
  dateAt,
  dwellAt,
  geoAt,
  listNodeAt,
  sampleAt,
  segmentAt,
  traitAt,
} from './parse-traits.ts'
import { fault, type Json, knownKeys, objectAt, oneOf } from './parse-values.ts'

/** The rule, typed; throws `invalid_rule` with `field` = JSON path of the fault. */
export function parseRule(input: unknown): Rule {
  const document = objectAt(input, 'rule')
  knownKeys(document, ['$schema', 'name', 'match'], 'rule')
  if (document.$schema !== undefined && document.$schema !== 'segment/1')
    throw fault('rule.$schema', 'expected "segment/1"')
  if (document.name !== undefined && typeof document.name !== 'string')
    throw fault('rule.name', 'expected a text')
  const match = nodeAt(document.match, 'rule.match', 1, { leaves: 0 })
  return { ...(document.name === undefined ? {} : { name: document.name }), match }
}

const LEAVES = {
  trait: traitAt,
  dwell: dwellAt,
  date: dateAt,
  anniversary: anniversaryAt,
  geo: geoAt,
  sample: sampleAt,
  segment: segmentAt,
  list: listNodeAt,
  computed: computedAt,
  quantile: quantileAt,
  consent: consentAt,
  message: messageAt,
  agg: aggregateAt,
  pick: pickAt,
  time: timeAt,
  absence: absenceAt,
  seq: sequenceAt,
} as const satisfies Record<string, (node: Json, path: string) => RuleNode>

const TREE = ['all', 'any', 'atLeast', 'not'] as const
const KINDS = [...TREE, ...(Object.keys(LEAVES) as (keyof typeof LEAVES)[])]

type Budget = { leaves: number }

function nodeAt(input: unknown, path: string, depth: number, budget: Budget): RuleNode {
  const node = objectAt(input, path)
  if (depth > RULE_LIMITS.depth) throw fault(path, `is nested deeper than ${RULE_LIMITS.depth}`)
  const kind = oneOf(node.k, KINDS, `${path}.k`)
  switch (kind) {
    case 'all':
    case 'any':
      knownKeys(node, ['k', 'of'], path)
      return { k: kind, of: nodesAt(node.of, `${path}.of`, depth, budget) }
    case 'atLeast': {
      knownKeys(node, ['k', 'n', 'of'], path)
      const of = nodesAt(node.of, `${path}.of`, depth, budget)
      if (!Number.isInteger(node.n) || Number(node.n) < 1 || Number(node.n) > of.length)
        throw fault(`${path}.n`, `expected a whole number from 1 to ${of.length}`)
      return { k: kind, n: Number(node.n), of }
    }
    case 'not':
      knownKeys(node, ['k', 'of'], path)
      return { k: kind, of: nodeAt(node.of, `${path}.of`, depth + 1, budget) }
    default:
      budget.leaves += 1
      if (budget.leaves > RULE_LIMITS.leaves)
        throw fault(path, `the rule has more than ${RULE_LIMITS.leaves} conditions`)
      return LEAVES[kind](node, path)
  }
}

function nodesAt(input: unknown, path: string, depth: number, budget: Budget): RuleNode[] {
  if (!Array.isArray(input) || input.length === 0)
    throw fault(path, 'expected a list of at least one condition')
  return input.map((item, i) => nodeAt(item, `${path}[${i}]`, depth + 1, budget))
}
