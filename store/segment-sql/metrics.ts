// Conditions on metrics: the definition that the name stands for now, compared with a value or with the cut points of a part of
// the people. Of nobody without a value is a quantile true.
import {
  COMPARISONS,
  type Comparison,
  type ComputedNode,
  type QuantileNode,
  type TimeNode,
} from '../../schema/rule.ts'
import { operator } from './conditions.ts'
import { aggregateHolds, earliestOrLatest, isOne, isOneIn, measureOf, pickHolds } from './events.ts'
import { type Fragment, type HomeMetric, type Scope, unsupported } from './scope.ts'

export function computedHolds(scope: Scope, { metric, op, value = 0 }: ComputedNode): Fragment {
  const definition = scope.metric(metric)?.definition
  switch (definition?.k) {
    case undefined:
      return scope.sql`false`
    case 'pick':
      return pickHolds(scope, { ...definition, op, value })
    case 'agg':
      return aggregateHolds(scope, { ...definition, op: comparisonOf(op), value: amountOf(value) })
    case 'time': {
      const { sql } = scope
      const days = sql`(${amountOf(value)}::numeric * ${DAY_SECONDS}::int)`
      return sql`(
        select ${secondsSince(scope, definition)} ${operator(sql, comparisonOf(op))} ${days}
        from events e where ${isOne(scope, definition)}
      )`
    }
  }
}

/** By the points that are live, of the definition that they were worked out for. */
export function quantileHolds(scope: Scope, { metric, from, to }: QuantileNode): Fragment {
  const { sql } = scope
  const { cuts } = scope.metric(metric) ?? {}
  if (cuts === undefined) return sql`false`
  const [low, high] = [pointAt(cuts.points, from), pointAt(cuts.points, to)]
  const within = (amount: Fragment, per: Fragment) => sql`
    (${low}::numeric is null or ${amount} >= ${low}::numeric * ${per})
    and (${high}::numeric is null or ${amount} < ${high}::numeric * ${per})`
  const { definition } = cuts
  if (definition.k === 'time')
    return sql`(
      select count(*) > 0 and ${within(secondsSince(scope, definition), sql`${DAY_SECONDS}::int`)}
      from events e where ${isOne(scope, definition)}
    )`
  if (definition.k !== 'agg') return sql`false`
  const { amount, per, found } = measureOf(scope, definition)
  return sql`(
    select ${found} > 0 and ${within(amount, per)}
    from events e where ${isOneIn(scope, definition, definition.window)}
  )`
}

const DAY_SECONDS = 86_400

function secondsSince({ sql }: Scope, { pick }: Pick<TimeNode, 'pick'>): Fragment {
  return sql`extract(epoch from p.at - ${earliestOrLatest(sql, pick)})`
}

/** A hundredth is its point; the ends have none. */
function pointAt(points: NonNullable<HomeMetric['cuts']>['points'], part: number): string | null {
  return points[Math.round(part * 100) - 1] ?? null
}

function comparisonOf(op: ComputedNode['op']): Comparison {
  const found = COMPARISONS.find((one) => one === op)
  if (found === undefined) throw unsupported(`a number compared by "${op}"`)
  return found
}

function amountOf(value: ComputedNode['value']): string {
  if (typeof value !== 'number' && typeof value !== 'string')
    throw unsupported('a number compared with something else')
  return String(value)
}
