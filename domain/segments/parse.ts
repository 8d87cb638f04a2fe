// Checks a rule as it came in and gives it its type. Every refusal names the path of the fault, what was expected and,
// where a word is close to a known one, a suggestion. Nothing of a rule reaches SQL as text: values become parameters.
import { fail, type MillraceError } from '../../runtime/errors.ts'
import { EVENT_TYPES } from '../../schema/event.ts'
import {
  AGGREGATES,
  COMPARISONS,
  type PropertyFilter,
  RULE_LIMITS,
  type Rule,
  type RuleNode,
  type Scalar,
  TRAIT_OPS,
  type TraitOp,
  type Window,
} from '../../schema/rule.ts'
import { exponentOf, toMinorUnits } from '../money.ts'
import { parseDuration } from './durations.ts'

type Json = Record<string, unknown>

/** The rule, typed; throws `invalid_rule` with `field` = JSON path of the fault. */
export function parseRule(input: unknown): Rule {
  const document = objectAt(input, 'rule')
  knownKeys(document, ['$schema', 'name', 'match'], 'rule')
  if (document.$schema !== undefined && document.$schema !== 'segment/1')
    throw fault('rule.$schema', 'expected "segment/1"')
  if (document.name !== undefined && typeof document.name !== 'string')
    throw fault('rule.name', 'expected a text')
  const budget = { leaves: 0 }
  const match = nodeAt(document.match, 'rule.match', 1, budget)
  return { ...(document.name === undefined ? {} : { name: document.name }), match }
}

const KINDS = ['all', 'any', 'atLeast', 'not', 'trait', 'agg'] as const

function nodeAt(input: unknown, path: string, depth: number, budget: { leaves: number }): RuleNode {
  const node = objectAt(input, path)
  if (depth > RULE_LIMITS.depth) throw fault(path, `is nested deeper than ${RULE_LIMITS.depth}`)
  const kind = oneOf(node.k, KINDS, `${path}.k`)
  if (kind === 'trait' || kind === 'agg') {
    budget.leaves += 1
    if (budget.leaves > RULE_LIMITS.leaves)
      throw fault(path, `the rule has more than ${RULE_LIMITS.leaves} conditions`)
  }
  switch (kind) {
    case 'all':
    case 'any':
      knownKeys(node, ['k', 'of'], path)
      return { k: kind, of: nodesAt(node.of, `${path}.of`, depth, budget) }
    case 'atLeast': {
      knownKeys(node, ['k', 'n', 'of'], path)
      const of = nodesAt(node.of, `${path}.of`, depth, budget)
      if (!Number.isInteger(node.n) || Number(node.n) < 1 || Number(node.n) > of.length) {
        throw fault(`${path}.n`, `expected a whole number from 1 to ${of.length}`)
      }
      return { k: kind, n: Number(node.n), of }
    }
    case 'not':
      knownKeys(node, ['k', 'of'], path)
      return { k: kind, of: nodeAt(node.of, `${path}.of`, depth + 1, budget) }
    case 'trait':
      knownKeys(node, ['k', 'path', 'op', 'value', 'type'], path)
      return { k: kind, path: textAt(node.path, `${path}.path`), ...conditionAt(node, path) }
    case 'agg':
      return aggregateAt(node, path)
  }
}

function nodesAt(input: unknown, path: string, depth: number, budget: { leaves: number }): RuleNode[] {
  if (!Array.isArray(input) || input.length === 0)
    throw fault(path, 'expected a list of at least one condition')
  return input.map((item, i) => nodeAt(item, `${path}[${i}]`, depth + 1, budget))
}

function aggregateAt(node: Json, path: string): RuleNode {
  knownKeys(
    node,
    ['k', 'event', 'type', 'agg', 'prop', 'unit', 'currency', 'where', 'window', 'op', 'value'],
    path,
  )
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
  if (prop === 'revenue' && unit === 'major' && toMinorUnits(value, currency ?? 'USD') === undefined) {
    throw fault(
      `${path}.value`,
      `expected a decimal amount with at most ${exponentOf(currency ?? 'USD')} digits behind the point`,
    )
  }
  return {
    k: 'agg',
    event: eventAt(node, path),
    ...(node.type === undefined ? {} : { type: oneOf(node.type, EVENT_TYPES, `${path}.type`) }),
    agg,
    ...(prop === undefined ? {} : { prop }),
    ...(node.unit === undefined ? {} : { unit }),
    ...(currency === undefined ? {} : { currency }),
    ...(node.where === undefined ? {} : { where: filtersAt(node.where, `${path}.where`) }),
    window: windowAt(node.window, `${path}.window`),
    op: oneOf(node.op, COMPARISONS, `${path}.op`),
    value,
  }
}

function eventAt(node: Json, path: string): string {
  if (node.event === undefined && node.type !== undefined && node.type !== 'track') return ''
  return textAt(node.event, `${path}.event`)
}

function filtersAt(input: unknown, path: string): PropertyFilter[] {
  if (!Array.isArray(input) || input.length > 20) throw fault(path, 'expected a list of at most 20 filters')
  return input.map((item, i) => {
    const filter = objectAt(item, `${path}[${i}]`)
    knownKeys(filter, ['prop', 'op', 'value'], `${path}[${i}]`)
    return { prop: textAt(filter.prop, `${path}[${i}].prop`), ...conditionAt(filter, `${path}[${i}]`) }
  })
}

function windowAt(input: unknown, path: string): Window {
  const window = objectAt(input, path)
  const kind = oneOf(window.k, ['rolling', 'absolute', 'lifetime'] as const, `${path}.k`)
  switch (kind) {
    case 'rolling': {
      knownKeys(window, ['k', 'last'], path)
      const last = textAt(window.last, `${path}.last`)
      if (parseDuration(last) === undefined)
        throw fault(
          `${path}.last`,
          'expected a fixed duration such as "P30D" or "PT24H" (no months or years)',
        )
      return { k: kind, last }
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

function conditionAt(node: Json, path: string): { op: TraitOp; value?: Scalar | Scalar[] } {
  const op = oneOf(node.op, TRAIT_OPS, `${path}.op`)
  if (op === 'exists' || op === 'missing') {
    if (node.value !== undefined) throw fault(`${path}.value`, `"${op}" takes no value`)
    return { op }
  }
  if (op === 'in') {
    if (!Array.isArray(node.value) || node.value.length === 0 || node.value.length > RULE_LIMITS.listItems) {
      throw fault(`${path}.value`, `expected a list of 1 to ${RULE_LIMITS.listItems} values`)
    }
    return { op, value: node.value.map((item, i) => scalarAt(item, `${path}.value[${i}]`)) }
  }
  const value = scalarAt(node.value, `${path}.value`)
  if ((op === 'contains' || op === 'startsWith' || op === 'endsWith') && typeof value !== 'string') {
    throw fault(`${path}.value`, `"${op}" takes a text`)
  }
  return { op, value }
}

function scalarAt(input: unknown, path: string): Scalar {
  if (typeof input === 'string') return textAt(input, path, 0)
  if (typeof input === 'boolean' || (typeof input === 'number' && Number.isFinite(input))) return input
  throw fault(path, 'expected a text, a number, true or false')
}

/** Amounts are compared as exact decimals, so one that can only be written with an exponent is refused. */
function amountAt(input: unknown, path: string): number | string {
  if (typeof input === 'number' && /^-?\d{1,15}(\.\d+)?$/.test(String(input))) return input
  if (typeof input === 'string' && /^-?\d{1,15}(\.\d{1,6})?$/.test(input)) return input
  throw fault(path, 'expected a number of at most 15 digits before the point')
}

function instantAt(input: unknown, path: string): string {
  if (
    typeof input === 'string' &&
    /^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:\d{2})$/.test(input) &&
    !Number.isNaN(Date.parse(input))
  )
    return input
  throw fault(path, 'expected an instant such as "2026-11-01T00:00:00Z"')
}

function textAt(input: unknown, path: string, minLength = 1): string {
  if (typeof input !== 'string' || input.length < minLength) throw fault(path, 'expected a text')
  if (input.length > RULE_LIMITS.textLength)
    throw fault(path, `is longer than ${RULE_LIMITS.textLength} characters`)
  if (input.includes('\u0000') || !input.isWellFormed())
    throw fault(path, 'contains a character that cannot be stored')
  return input
}

function objectAt(input: unknown, path: string): Json {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw fault(path, 'expected an object')
  return input as Json
}

function oneOf<const T extends string>(input: unknown, known: readonly T[], path: string): T {
  const found = known.find((word) => word === input)
  if (found !== undefined) return found
  throw fault(path, `expected one of ${known.join(', ')}${suggest(input, known)}`)
}

function knownKeys(node: Json, known: string[], path: string): void {
  for (const key of Object.keys(node)) {
    if (!known.includes(key))
      throw fault(
        `${path}.${key.slice(0, 50)}`,
        `is not known here; known are ${known.join(', ')}${suggest(key, known)}`,
      )
  }
}

/** The known word that starts alike or differs by one character. */
function suggest(input: unknown, known: readonly string[]): string {
  if (typeof input !== 'string' || input === '') return ''
  const lower = input.toLowerCase()
  const near = known.find(
    (word) =>
      word.toLowerCase() === lower ||
      isOneOff(word.toLowerCase(), lower) ||
      word.toLowerCase().startsWith(lower.slice(0, 3)),
  )
  return near === undefined ? '' : `; did you mean "${near}"?`
}

function isOneOff(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false
  let same = 0
  while (same < Math.min(a.length, b.length) && a[same] === b[same]) same += 1
  return (
    a.slice(same + 1) === b.slice(same + 1) ||
    a.slice(same) === b.slice(same + 1) ||
    a.slice(same + 1) === b.slice(same)
  )
}

function fault(path: string, expected: string): MillraceError {
  return fail('invalid_rule', `${path} ${expected}`, { field: path })
}
