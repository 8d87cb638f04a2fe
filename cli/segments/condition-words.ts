// Operators, values and events of a rule in words. Pure.
import type { PropertyFilter, TraitOp } from '../../schema/rule.ts'

const OPERATORS: Record<TraitOp, string> = {
  gt: 'more than',
  gte: 'at least',
  lt: 'less than',
  lte: 'at most',
  eq: 'is',
  ne: 'is not',
  exists: 'is there',
  missing: 'is missing',
  contains: 'contains',
  startsWith: 'starts with',
  endsWith: 'ends with',
  like: 'is like',
  matches: 'matches',
  in: 'is one of',
  anyOf: 'has any of',
  allOf: 'has all of',
  noneOf: 'has none of',
}

/** `more than 1000`, `is "gold"`, `is one of "a", "b"`. */
export function operatorWords(op: TraitOp, value: unknown): string {
  // An amount may be written as text, to be exact: it is a number all the same.
  const isAmount =
    ['gt', 'gte', 'lt', 'lte'].includes(op) && typeof value === 'string' && /^-?[\d.]+$/.test(value)
  const shown = isAmount ? value : literalWords(value)
  return shown === '' ? OPERATORS[op] : `${OPERATORS[op]} ${shown}`
}

/** Names as they are, with commas. */
export function valueWords(names: readonly string[]): string {
  return names.join(', ')
}

function literalWords(value: unknown): string {
  if (value === undefined) return ''
  return Array.isArray(value) ? value.map((one) => JSON.stringify(one)).join(', ') : JSON.stringify(value)
}

/** `Product Viewed with category is one of "shoes", "bags"`. */
export function eventWords(events: { event?: string; type?: string; where?: PropertyFilter[] }): string {
  const { event = '', type = 'track', where = [] } = events
  const name = type === 'track' ? event : event === '' ? `${type} call` : `${type} ${event}`
  const filters = where.map((filter) => `${filter.prop} ${operatorWords(filter.op, filter.value)}`)
  return filters.length === 0 ? name : `${name} with ${filters.join(' and ')}`
}
