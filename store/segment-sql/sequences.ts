// Steps that follow each other, as a condition on `p`. After each step stands what chains have reached: the time of their
// last event and the values that later ones have to share, each pair once. So a look costs what the events of two
// steps cost together, not what all chains would.
import type { SequenceNode } from '../../schema/rule.ts'
import { isOne, property } from './events.ts'
import { type Fragment, joined, type Scope } from './scope.ts'
import { isInWindow, lengthOf } from './windows.ts'

export function sequenceHolds(scope: Scope, node: SequenceNode): Fragment {
  const { sql } = scope
  const [first, ...others] = node.steps
  if (first === undefined) return sql`false`
  const shared = [...new Set([...node.steps, node.none].flatMap((step) => step?.same ?? []))]
  const isSame = (props: string[] = []) =>
    props.map((prop) => {
      const value = sql`(r.shared -> ${shared.indexOf(prop)}::int)`
      return sql`and ${value} <> 'null' and ${property(sql, prop)} = ${value}`
    })
  const both = (parts: Fragment[]) => joined(sql, parts, sql``)

  const reached = others.reduce(
    (before, step) => sql`(
      select distinct e.time, r.shared
      from ${before} r
      join events e on ${isOne(scope, step)} and ${isInWindow(scope, node.window, (anchor) => isOne(scope, anchor))} and e.time > r.time
        ${step.within === undefined ? sql`` : sql`and e.time <= r.time + ${lengthOf(scope, step.within)}`}
        ${both(isSame(step.same))}
    )`,
    starts(scope, node, first, shared),
  )
  const { none } = node
  if (none === undefined) return sql`exists (select from ${reached} r)`
  const deadline = sql`r.time + ${lengthOf(scope, none.within)}`
  const end = none.until === 'now' ? sql`p.at` : deadline
  return sql`exists (
    select from ${reached} r
    where p.at >= ${deadline}
      and not exists (
        select from events e where ${isOne(scope, none)} and e.time > r.time and e.time <= ${end} ${both(isSame(none.same))}
      )
  )`
}

/** Events of the first step that may be the anchor, if there are enough of them. */
function starts(
  scope: Scope,
  { window, anchor = 'any', min = 1 }: SequenceNode,
  first: SequenceNode['steps'][number],
  shared: string[],
): Fragment {
  const { sql } = scope
  const values = joined(
    sql,
    shared.map((prop) => property(sql, prop)),
    sql`,`,
  )
  const kth = typeof anchor === 'object' ? anchor.kth : 1
  const isAnchor = {
    any: sql`true`,
    first: sql`s.time = s.first`,
    latest: sql`s.time = s.latest`,
    kth: sql`s.time = s.kth`,
  }[typeof anchor === 'object' ? 'kth' : anchor]
  return sql`(
    select distinct s.time, s.shared
    from (
      select e.time, jsonb_build_array(${values}) as shared,
        min(e.time) over () as first, max(e.time) over () as latest, count(*) over () as found,
        nth_value(e.time, ${kth}::int) over (order by e.time rows between unbounded preceding and unbounded following) as kth
      from events e
      where ${isOne(scope, first)} and ${isInWindow(scope, window, (anchor) => isOne(scope, anchor))}
    ) s
    where s.found >= ${min}::int and ${isAnchor}
  )`
}
