// Reads the leaves of a rule that are about a person's events. Every refusal names the path of the fault.
import {
  type AbsenceNode,
  AGGREGATES,
  type AggNode,
  COMPARISONS,
  type PickNode,
  RULE_LIMITS,
  type SequenceNode,
  type TimeNode,
} from '../../schema/rule.ts'
import { exponentOf, toMinorUnits } from '../money.ts'
import {
  amountAt,
  booleanAt,
  conditionAt,
  durationAt,
  fault,
  type Json,
  knownKeys,
  listAt,
  objectAt,
  oneOf,
  optional,
  textAt,
  wholeAt,
  zoneAt,
} from './parse-values.ts'
import { EVENTS, eventsAt, PICKS, windowAt } from './parse-windows.ts'

export function aggregateAt(node: Json, path: string): AggNode {
  knownKeys(node, ['k', ...EVENTS, 'agg', 'prop', 'unit', 'currency', 'tz', 'window', 'op', 'value'], path)
  const agg = oneOf(node.agg, AGGREGATES, `${path}.agg`)
  const isOfTimes = agg === 'count' || agg === 'days' || agg === 'span'
  if (isOfTimes && node.prop !== undefined)
    throw fault(`${path}.prop`, `agg "${agg}" takes no prop; did you mean agg "sum" or "distinct"?`)
  const prop = isOfTimes ? undefined : textAt(node.prop, `${path}.prop`)
  if (node.tz !== undefined && agg !== 'days') throw fault(`${path}.tz`, 'goes with agg "days" only')
  const unit =
    node.unit === undefined ? 'major' : oneOf(node.unit, ['major', 'minor'] as const, `${path}.unit`)
  const currency = node.currency === undefined ? undefined : textAt(node.currency, `${path}.currency`)
  if (currency !== undefined && !/^[A-Z]{3}$/.test(currency))
    throw fault(`${path}.currency`, 'expected an ISO 4217 code such as "EUR"')
  const value = amountAt(node.value, `${path}.value`)
  const isRevenue = prop === 'revenue' && agg !== 'distinct'
  if (isRevenue && unit === 'major' && toMinorUnits(value, currency ?? 'USD') === undefined)
    throw fault(
      `${path}.value`,
      `expected a decimal amount with at most ${exponentOf(currency ?? 'USD')} digits behind the point`,
    )
  return {
    k: 'agg',
    ...eventsAt(node, path),
    agg,
    ...(prop === undefined ? {} : { prop }),
    ...(node.unit === undefined ? {} : { unit }),
    ...(currency === undefined ? {} : { currency }),
    ...(node.tz === undefined ? {} : { tz: zoneAt(node.tz, `${path}.tz`) }),
    window: windowAt(node.window, `${path}.window`),
    op: oneOf(node.op, COMPARISONS, `${path}.op`),
    value,
  }
}

export function pickAt(node: Json, path: string): PickNode {
  knownKeys(node, ['k', ...EVENTS, 'pick', 'prop', 'window', 'op', 'value'], path)
  return {
    k: 'pick',
    ...eventsAt(node, path),
    pick: oneOf(node.pick, PICKS, `${path}.pick`),
    prop: textAt(node.prop, `${path}.prop`),
    window: windowAt(node.window, `${path}.window`),
    ...conditionAt(node, path),
  }
}

export function timeAt(node: Json, path: string): TimeNode {
  knownKeys(node, ['k', ...EVENTS, 'pick', 'op', 'ago'], path)
  return {
    k: 'time',
    ...eventsAt(node, path),
    pick: oneOf(node.pick, PICKS, `${path}.pick`),
    op: oneOf(node.op, ['within', 'olderThan'] as const, `${path}.op`),
    ago: durationAt(node.ago, `${path}.ago`),
  }
}

export function absenceAt(node: Json, path: string): AbsenceNode {
  knownKeys(node, ['k', ...EVENTS, 'window', 'requireProfileAge'], path)
  const window = windowAt(node.window, `${path}.window`)
  if (node.requireProfileAge === true && window.k !== 'rolling')
    throw fault(`${path}.requireProfileAge`, 'goes with a rolling window only')
  return {
    k: 'absence',
    ...eventsAt(node, path),
    window,
    ...optional<{ requireProfileAge: boolean }>(node, {
      requireProfileAge: (one) => booleanAt(one, `${path}.requireProfileAge`),
    }),
  }
}

export function sequenceAt(node: Json, path: string): SequenceNode {
  knownKeys(node, ['k', 'window', 'anchor', 'min', 'steps', 'none'], path)
  const steps = listAt(node.steps, `${path}.steps`, RULE_LIMITS.steps, (input, at) => {
    const step = objectAt(input, at)
    knownKeys(step, [...EVENTS, 'within', 'same'], at)
    return {
      ...eventsAt(step, at),
      ...optional<{ within: string; same: string[] }>(step, {
        within: (one) => durationAt(one, `${at}.within`),
        same: (one) => sameAt(one, `${at}.same`),
      }),
    }
  })
  if (steps[0]?.within !== undefined || steps[0]?.same !== undefined)
    throw fault(`${path}.steps[0]`, 'is the first: "within" and "same" belong to those after it')
  return {
    k: 'seq',
    window: windowAt(node.window, `${path}.window`),
    ...optional<Pick<Required<SequenceNode>, 'anchor' | 'min'>>(node, {
      anchor: (one) => sequenceAnchorAt(one, `${path}.anchor`),
      min: (one) => wholeAt(one, `${path}.min`, 1, 1000),
    }),
    steps,
    ...optional<Pick<Required<SequenceNode>, 'none'>>(node, { none: (one) => noneAt(one, `${path}.none`) }),
  }
}

function sequenceAnchorAt(input: unknown, path: string): NonNullable<SequenceNode['anchor']> {
  if (typeof input === 'number')
    throw fault(path, `expected a word or an object; did you mean {"kth": ${input}}?`)
  if (typeof input !== 'object' || input === null)
    return oneOf(input, ['any', 'first', 'latest'] as const, path)
  const anchor = objectAt(input, path)
  knownKeys(anchor, ['kth'], path)
  return { kth: wholeAt(anchor.kth, `${path}.kth`, 1, 1000) }
}

function noneAt(input: unknown, path: string): NonNullable<SequenceNode['none']> {
  const none = objectAt(input, path)
  knownKeys(none, [...EVENTS, 'within', 'same', 'until'], path)
  return {
    ...eventsAt(none, path),
    within: durationAt(none.within, `${path}.within`),
    ...optional<{ same: string[]; until: 'deadline' | 'now' }>(none, {
      same: (one) => sameAt(one, `${path}.same`),
      until: (one) => oneOf(one, ['deadline', 'now'] as const, `${path}.until`),
    }),
  }
}

function sameAt(input: unknown, path: string): string[] {
  return listAt(input, path, 5, (one, at) => textAt(one, at))
}
