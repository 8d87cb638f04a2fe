// Decides a plan for one person from what is known of them, and says when time alone may change the answer. Pure.
import { evaluateAggregate } from './aggregates.ts'
import { evaluateConsent, evaluateMessage } from './contact.ts'
import { evaluateDwell } from './dwell.ts'
import { evaluateElapsed } from './elapsed.ts'
import { type EventIndex, type Facts, type Person, pickInputs } from './facts.ts'
import { evaluateAbsence, evaluatePick, evaluateTime } from './picks.ts'
import type { Expr, Leaf, MetricLeaf, Plan } from './plan.ts'
import { evaluateQuantile } from './quantiles.ts'
import { evaluateSequence } from './sequences.ts'
import { atLeast, constant, NEVER, not, type Timed } from './timed.ts'
import { evaluateAnniversary, evaluateDate, evaluateGeo, evaluateSample, evaluateTrait } from './traits.ts'

/** Whether the person belongs to it at an instant (ms), and until when at least without new data. */
export function decide(plan: Plan, facts: Facts, atMs: number): Timed {
  return decideExpr(plan.expr, plan, facts, atMs)
}

function decideExpr(expr: Expr, plan: Plan, facts: Facts, atMs: number): Timed {
  switch (expr.k) {
    case 'leaf': {
      const leaf = plan.leaves[expr.leaf]
      if (leaf === undefined) throw new Error(`the plan has no leaf ${expr.leaf}`)
      return decideLeaf(leaf, facts, atMs)
    }
    case 'not':
      return not(decideExpr(expr.of, plan, facts, atMs))
    case 'all':
      return decideGroup(expr.of, false, plan, facts, atMs)
    case 'any':
      return decideGroup(expr.of, true, plan, facts, atMs)
    case 'atLeast':
      return atLeast(
        expr.n,
        expr.of.map((child) => decideExpr(child, plan, facts, atMs)),
      )
  }
}

/**
 * `any` (`decisive` = true) and `all` (false) as `atLeast` has them: one child with the decisive answer gives it to the whole,
 * until the last of these has turned. One that never turns settles it, and the others are not looked at.
 */
function decideGroup(of: Expr[], decisive: boolean, plan: Plan, facts: Facts, atMs: number): Timed {
  let isDecided = false
  let lastDecisive = Number.NEGATIVE_INFINITY
  let firstOther = NEVER
  for (const child of of) {
    const { holds, until } = decideExpr(child, plan, facts, atMs)
    if (holds !== decisive) firstOther = Math.min(firstOther, until)
    else if (until === NEVER) return constant(decisive)
    else {
      isDecided = true
      lastDecisive = Math.max(lastDecisive, until)
    }
  }
  return isDecided ? { holds: decisive, until: lastDecisive } : { holds: !decisive, until: firstOther }
}

export function decideLeaf(leaf: Leaf | MetricLeaf, facts: Facts, atMs: number): Timed {
  switch (leaf.k) {
    case 'trait':
      return evaluateTrait(leaf, facts)
    case 'dwell':
      return evaluateDwell(leaf, facts, atMs)
    case 'date':
      return evaluateDate(leaf, facts, atMs)
    case 'anniversary':
      return evaluateAnniversary(leaf, facts, atMs)
    case 'geo':
      return evaluateGeo(leaf, facts)
    case 'sample':
      return evaluateSample(leaf, facts)
    case 'segment':
      return facts.segment(leaf.segment, atMs)
    case 'list':
      return constant(facts.lists.has(leaf.list))
    case 'computed':
      return decideLeaf(leaf.of, facts, atMs)
    case 'quantile':
      return evaluateQuantile(leaf, facts, atMs)
    case 'elapsed':
      return evaluateElapsed(leaf, facts, atMs)
    case 'consent':
      return evaluateConsent(leaf, facts, atMs)
    case 'message':
      return evaluateMessage(leaf, facts, atMs)
    case 'agg':
      return evaluateAggregate(leaf, facts, atMs)
    case 'pick':
      return evaluatePick(leaf, facts, atMs)
    case 'time':
      return evaluateTime(leaf, facts, atMs)
    case 'absence':
      return evaluateAbsence(leaf, facts, atMs)
    case 'seq':
      return evaluateSequence(leaf, facts, atMs)
  }
}

/**
 * A person as a plan looks at them, and at the plans of other segments that it refers to: these are asked at the same
 * instant, so that nothing has to cascade. A segment that is not there has nobody in it.
 */
export function factsFor(
  plan: Plan,
  person: Person & { events: EventIndex },
  plans: ReadonlyMap<string, Plan>,
  known = new Map<string, Timed>(),
): Facts {
  const { profileId, traits, traitSince, firstMs, lists, suppressed, events } = person
  return {
    profileId,
    traits,
    traitSince,
    firstMs,
    lists,
    suppressed,
    inputs: pickInputs(plan.inputs, events, traits),
    segment(slug, atMs) {
      const other = plans.get(slug)
      if (other === undefined) return constant(false)
      const key = `${slug} ${atMs}`
      const found = known.get(key) ?? decide(other, factsFor(other, person, plans, known), atMs)
      known.set(key, found)
      return found
    },
  }
}

/** What holds for longer than so many instants at which it might end is served without an end. */
const END_STEPS = 16

/**
 * When what holds until `until` at least really ends, ms: an `until` may be early, and this is not. NEVER = not by time alone,
 * or not to be told in few steps.
 */
export function endOf(plan: Plan, facts: Facts, until: number): number {
  let at = until
  for (let step = 0; step < END_STEPS && at !== NEVER; step++) {
    const then = decide(plan, facts, at)
    if (!then.holds) return at
    at = then.until
  }
  return NEVER
}

/** When the answer last became what it is at `toMs`, looking from `fromMs` on; undefined when it was so all the time. */
export function lastChange(plan: Plan, facts: Facts, fromMs: number, toMs: number): number | undefined {
  let changedAt: number | undefined
  let { holds, until } = decide(plan, facts, fromMs)
  while (until <= toMs) {
    const at = until
    const now = decide(plan, facts, at)
    if (now.holds !== holds) changedAt = at
    holds = now.holds
    until = now.until
  }
  return changedAt
}
