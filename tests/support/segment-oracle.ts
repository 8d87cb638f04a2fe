// What a rule means, said as plainly as possible and slowly: one person, all events in memory, one instant. The engine
// is compared with it. Written from the language's definition, shares no code with domain/segments.
import type { Comparison, PropertyFilter, Rule, RuleNode, Scalar, TraitOp } from '../../schema/rule.ts'

export type OracleEvent = {
  type: string
  name: string
  time: number
  /** Minor units. */
  value?: number
  currency?: string
  properties: Record<string, unknown>
}
export type OraclePerson = { traits: Record<string, unknown>; events: OracleEvent[] }

export function isMember(rule: Rule, person: OraclePerson, atMs: number): boolean {
  return holds(rule.match, person, atMs)
}

function holds(node: RuleNode, person: OraclePerson, atMs: number): boolean {
  switch (node.k) {
    case 'all':
      return node.of.every((child) => holds(child, person, atMs))
    case 'any':
      return node.of.some((child) => holds(child, person, atMs))
    case 'atLeast':
      return node.of.filter((child) => holds(child, person, atMs)).length >= node.n
    case 'not':
      return !holds(node.of, person, atMs)
    case 'trait':
      return condition(person.traits[node.path], node.op, node.value)
    case 'agg':
      return aggregate(node, person, atMs)
  }
}

function aggregate(node: Extract<RuleNode, { k: 'agg' }>, person: OraclePerson, atMs: number): boolean {
  const events = person.events.filter(
    (event) =>
      event.type === (node.type ?? 'track') &&
      event.name === node.event &&
      isInWindow(node, event.time, atMs) &&
      (node.where ?? []).every((filter: PropertyFilter) =>
        condition(event.properties[filter.prop], filter.op, filter.value),
      ),
  )
  if (node.agg === 'count') return compare(events.length, node.op, Number(node.value))
  const isRevenue = node.prop === 'revenue'
  const values = events.flatMap((event) => {
    if (isRevenue) return event.currency === (node.currency ?? 'USD') ? [event.value ?? 0] : []
    const value = event.properties[node.prop ?? '']
    return typeof value === 'number' ? [value] : []
  })
  const wanted =
    isRevenue && node.unit !== 'minor' ? Math.round(Number(node.value) * 100) : Number(node.value)
  const sum = values.reduce((total, value) => total + value, 0)
  if (node.agg === 'sum') return compare(sum, node.op, wanted)
  if (values.length === 0) return false
  if (node.agg === 'min') return compare(Math.min(...values), node.op, wanted)
  if (node.agg === 'max') return compare(Math.max(...values), node.op, wanted)
  return compare(sum, node.op, wanted * values.length)
}

/** After the window's start, up to its end and up to now. */
function isInWindow(node: Extract<RuleNode, { k: 'agg' }>, time: number, atMs: number): boolean {
  if (time > atMs) return false
  const { window } = node
  if (window.k === 'lifetime') return true
  if (window.k === 'absolute') return time > Date.parse(window.from) && time <= Date.parse(window.to)
  const hours = /^PT(\d+)H$/.exec(window.last)
  const days = /^P(\d+)D$/.exec(window.last)
  return time > atMs - (hours ? Number(hours[1]) * 3_600_000 : Number(days?.[1]) * 86_400_000)
}

function condition(found: unknown, op: TraitOp, wanted: Scalar | Scalar[] | undefined): boolean {
  const missing = found === undefined || found === null
  if (op === 'missing') return missing
  if (missing) return false
  if (op === 'exists') return true
  if (op === 'in') return Array.isArray(wanted) && wanted.some((one) => one === found)
  if (op === 'eq') return found === wanted
  if (op === 'ne') return found !== wanted
  if (op === 'contains')
    return Array.isArray(found)
      ? found.includes(wanted)
      : typeof found === 'string' && found.includes(String(wanted))
  if (op === 'startsWith') return typeof found === 'string' && found.startsWith(String(wanted))
  if (op === 'endsWith') return typeof found === 'string' && found.endsWith(String(wanted))
  if (typeof found === 'number' && typeof wanted === 'number') return compare(found, op, wanted)
  if (typeof found === 'string' && typeof wanted === 'string')
    return compare(found < wanted ? -1 : found > wanted ? 1 : 0, op, 0)
  return false
}

function compare(left: number, op: Comparison, right: number): boolean {
  switch (op) {
    case 'gt':
      return left > right
    case 'gte':
      return left >= right
    case 'lt':
      return left < right
    case 'lte':
      return left <= right
    case 'eq':
      return left === right
    case 'ne':
      return left !== right
  }
}
