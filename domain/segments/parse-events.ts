// Reads the leaves of a rule that are about a person's events. Every refusal names the path of the fault.
import { EVENT_TYPES } from '../../schema/event.ts'
import {
  type AbsenceNode,
  AGGREGATES,
  type AggNode,
  CALENDAR_UNITS,
  COMPARISONS,
  type PickNode,
  type PropertyFilter,
  RULE_LIMITS,
  type SequenceNode,
  type TimeNode,
  WEEKDAYS,
  type Window,
} from '../../schema/rule.ts'
import { exponentOf, toMinorUnits } from '../money.ts'
import { parseDuration } from './durations.ts'
import {
  amountAt,
  booleanAt,
  conditionAt,
  durationAt,
  fault,
  instantAt,
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

const EVENTS = ['event', 'type', 'where']
const PICKS = ['first', 'last'] as const

export function aggregateAt(node: Json, path: string): AggNode {
  knownKeys(node, ['k', ...EVENTS, 'agg', 'prop', 'unit', 'currency', 'window', 'op', 'value'], path)
  const agg = oneOf(node.agg, AGGREGATES, `${path}.agg`)
  if (agg === 'count' && node.prop !== undefined)
    throw fault(`${path}.prop`, 'a count takes no prop; did you mean agg "sum"?')
  const prop = agg === 'count' ? undefined : textAt(node.prop, `${path}.prop`)
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
      anchor: (one) => oneOf(one, ['any', 'first', 'latest'] as const, `${path}.anchor`),
      min: (one) => wholeAt(one, `${path}.min`, 1, 1000),
    }),
    steps,
    ...optional<Pick<Required<SequenceNode>, 'none'>>(node, { none: (one) => noneAt(one, `${path}.none`) }),
  }
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

type Events = { event: string; type?: string; where?: PropertyFilter[] }

/** A page, screen or identify condition may leave out the name: all of that type. */
function eventsAt(node: Json, path: string): Events {
  const isWholeType = node.event === undefined && node.type !== undefined && node.type !== 'track'
  return {
    event: isWholeType ? '' : textAt(node.event, `${path}.event`),
    ...optional<{ type: string; where: PropertyFilter[] }>(node, {
      type: (one) => oneOf(one, EVENT_TYPES, `${path}.type`),
      where: (one) => filtersAt(one, `${path}.where`),
    }),
  }
}

function filtersAt(input: unknown, path: string): PropertyFilter[] {
  if (!Array.isArray(input) || input.length > RULE_LIMITS.filters)
    throw fault(path, `expected a list of at most ${RULE_LIMITS.filters} filters`)
  return input.map((item, i) => {
    const at = `${path}[${i}]`
    const filter = objectAt(item, at)
    knownKeys(filter, ['prop', 'op', 'value'], at)
    return { prop: textAt(filter.prop, `${at}.prop`), ...conditionAt(filter, at) }
  })
}

const WINDOWS = ['rolling', 'between', 'calendar', 'absolute', 'lifetime'] as const

function windowAt(input: unknown, path: string): Window {
  const window = objectAt(input, path)
  const kind = oneOf(window.k, WINDOWS, `${path}.k`)
  switch (kind) {
    case 'rolling':
      knownKeys(window, ['k', 'last'], path)
      return { k: kind, last: durationAt(window.last, `${path}.last`) }
    case 'between': {
      knownKeys(window, ['k', 'from', 'to'], path)
      const from = durationAt(window.from, `${path}.from`)
      const to = durationAt(window.to, `${path}.to`)
      if ((parseDuration(from) ?? 0) >= (parseDuration(to) ?? 0))
        throw fault(`${path}.to`, 'must be longer ago than from')
      return { k: kind, from, to }
    }
    case 'calendar':
      knownKeys(window, ['k', 'unit', 'offset', 'count', 'tz', 'weekStart'], path)
      return {
        k: kind,
        unit: oneOf(window.unit, CALENDAR_UNITS, `${path}.unit`),
        ...optional<Omit<Required<Extract<Window, { k: 'calendar' }>>, 'k' | 'unit'>>(window, {
          offset: (one) => wholeAt(one, `${path}.offset`, -120, 0),
          count: (one) => wholeAt(one, `${path}.count`, 1, 120),
          tz: (one) => zoneAt(one, `${path}.tz`),
          weekStart: (one) => oneOf(one, WEEKDAYS, `${path}.weekStart`),
        }),
      }
    case 'absolute': {
      knownKeys(window, ['k', 'from', 'to'], path)
      const from = instantAt(window.from, `${path}.from`)
      const to = instantAt(window.to, `${path}.to`)
      if (Date.parse(from) >= Date.parse(to)) throw fault(`${path}.to`, 'must be after from')
      return { k: kind, from, to }
    }
    case 'lifetime':
      knownKeys(window, ['k'], path)
      return { k: kind }
  }
}
