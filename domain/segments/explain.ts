// Why somebody is in a segment or not: each condition with what was found, whether it holds, and until when. Pure.
import { aggregateAt } from './aggregates.ts'
import { valueAt } from './conditions.ts'
import { categoryAt, deedsAt, messageCount, reachOf } from './contact.ts'
import { decideLeaf } from './decide.ts'
import { missingTo } from './decimals.ts'
import { elapsedAt } from './elapsed.ts'
import type { Facts, Occurrence } from './facts.ts'
import type { AggLeaf, Expr, Leaf, MetricLeaf, Plan } from './plan.ts'
import { atLeast, not, type Timed } from './timed.ts'
import { sampleOf } from './traits.ts'
import { slide } from './windows.ts'
import { inWords } from './words.ts'

export type Explained = {
  /** Where it stands in the rule. */
  path: string
  k: string
  holds: boolean
  /** The instant (ms) at which it turns if nothing happens until then; Infinity = it does not. */
  until: number
  /** Of a condition, not of a group. */
  leaf?: Leaf
  found?: Found
  /** The same in words, against what the condition wants. */
  words?: string
  of?: Explained[]
}

export type Found = {
  /** The trait, the aggregate as decimal text (revenue in minor units), the property of the event, the place in the sample. */
  value: unknown
  /** The number or amount that is missing to the threshold, where more of it would make the condition true. */
  missing: string | null
  /** Events that count. */
  events: number
  /** Times (ms) of the newest of them. */
  newest: number[]
}

const SHOWN = 10

export function explain(plan: Plan, facts: Facts, atMs: number): Explained {
  return explainExpr(plan.expr, 'rule.match', { plan, facts, atMs, isTold: true })
}

/** Without words: every entry and exit is explained as it is stored. */
export function explainBriefly(plan: Plan, facts: Facts, atMs: number): Explained {
  return explainExpr(plan.expr, 'rule.match', { plan, facts, atMs, isTold: false })
}

type Asked = { plan: Plan; facts: Facts; atMs: number; isTold: boolean }

function explainExpr(expr: Expr, path: string, asked: Asked): Explained {
  switch (expr.k) {
    case 'leaf': {
      const leaf = asked.plan.leaves[expr.leaf]
      if (leaf === undefined) throw new Error(`the plan has no leaf ${expr.leaf}`)
      const { holds, until } = decideLeaf(leaf, asked.facts, asked.atMs)
      const found = foundBy(leaf, holds, asked)
      const explained = { path, k: leaf.k, holds, until, leaf, found }
      if (!asked.isTold) return explained
      return { ...explained, words: inWords(leaf, { ...asked, holds, value: found.value }) }
    }
    case 'not': {
      const of = explainExpr(expr.of, `${path}.of`, asked)
      return { path, k: 'not', ...not(timed(of)), of: [of] }
    }
    case 'all':
    case 'any':
    case 'atLeast': {
      const of = expr.of.map((child, i) => explainExpr(child, `${path}.of[${i}]`, asked))
      const n = expr.k === 'atLeast' ? expr.n : expr.k === 'any' ? 1 : of.length
      return { path, k: expr.k, ...atLeast(n, of.map(timed)), of }
    }
  }
}

const timed = ({ holds, until }: Explained): Timed => ({ holds, until })

export function foundBy(
  leaf: Leaf | MetricLeaf,
  holds: boolean,
  { facts, atMs }: Pick<Asked, 'facts' | 'atMs'>,
): Found {
  switch (leaf.k) {
    case 'trait':
    case 'dwell':
    case 'date':
    case 'anniversary':
    case 'geo':
      return foundValue(valueAt(facts.traits, leaf.path) ?? null)
    case 'sample':
      return foundValue(sampleOf(leaf.salt, facts.profileId))
    case 'segment':
      return foundValue(leaf.segment)
    case 'list':
      return foundValue(leaf.list)
    case 'computed':
    case 'quantile':
      return foundBy(leaf.of, holds || leaf.k === 'quantile', { facts, atMs })
    case 'elapsed': {
      const { days, events } = elapsedAt(leaf, facts, atMs)
      return { ...foundEvents(events), value: days ?? null }
    }
    case 'consent':
      return foundValue('channel' in leaf ? reachOf(leaf, facts) : categoryAt(leaf, facts, atMs))
    case 'message': {
      const [count, deeds] = [messageCount(leaf, facts), deedsAt(leaf, facts)]
      const { value, events } = aggregateAt(count, deeds, atMs)
      const missing = holds || value === undefined ? null : missingOf(count, value)
      return { ...foundEvents(events), value: value ?? null, missing }
    }
    case 'agg': {
      const { value, events } = aggregateAt(leaf, facts, atMs)
      const missing = holds || value === undefined ? null : missingOf(leaf, value)
      return { ...foundEvents(events), value: value ?? null, missing }
    }
    case 'pick': {
      const events = within(leaf, facts, atMs)
      const event = leaf.pick === 'first' ? events[0] : events.at(-1)
      return { ...foundEvents(events), value: event?.props[leaf.prop] ?? null }
    }
    case 'time': {
      const events = (facts.inputs[leaf.input] ?? []).filter((event) => event.time <= atMs)
      const event = leaf.pick === 'first' ? events[0] : events.at(-1)
      return {
        ...foundEvents(events),
        value: event === undefined ? null : new Date(event.time).toISOString(),
      }
    }
    case 'absence':
      return foundEvents(within(leaf, facts, atMs))
    case 'seq': {
      const input = leaf.steps[0]?.input ?? -1
      return foundEvents(within({ input, window: leaf.window }, facts, atMs))
    }
  }
}

function foundValue(value: unknown): Found {
  return { value, missing: null, events: 0, newest: [] }
}

function foundEvents(events: Occurrence[]): Found {
  const newest = events.slice(-SHOWN).map((event) => event.time)
  return { value: events.length, missing: null, events: events.length, newest: newest.reverse() }
}

/** "More than" needs one more of what is counted, and any more of what is summed. */
function missingOf({ agg, op, value: threshold }: AggLeaf, value: string): string | null {
  const canGrow = agg === 'count' || agg === 'distinct' || agg === 'days' || agg === 'sum'
  if (!canGrow || (op !== 'gt' && op !== 'gte')) return null
  const missing = missingTo(threshold, value)
  return op === 'gt' && agg !== 'sum' ? String(Math.floor(Number(missing)) + 1) : missing
}

function within(
  { input, window }: Pick<AggLeaf, 'input' | 'window'>,
  facts: Facts,
  atMs: number,
): Occurrence[] {
  const events = facts.inputs[input] ?? []
  const { from, to } = slide(window, events, facts, atMs)
  return events.slice(from, to)
}
