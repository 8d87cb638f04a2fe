// What a rule means, said as plainly as possible and slowly: one person, all events in memory, one instant. The engine
// is compared with it. Written from the language's definition, shares no code with domain/segments.
import { createHash } from 'node:crypto'
import type { MetricDefinition } from '../../schema/metric.ts'
import type {
  AggNode,
  Comparison,
  ComputedNode,
  PropertyFilter,
  Rule,
  RuleNode,
  SequenceNode,
  Window,
} from '../../schema/rule.ts'
import { compare, condition } from './oracle-condition.ts'
import { consentHolds, isDeed } from './oracle-contact.ts'
import type { OracleEvent } from './oracle-event.ts'
import { daysSince, differentDays, isBetween, numberOf, spanOfDays } from './oracle-metrics.ts'
import { instant, isIn, isOnClock, length, localDay, zoneOf } from './oracle-time.ts'

export type { OracleEvent }
/** What somebody said of their traits at an instant; null unsets. */
export type OracleStatement = { time: number; traits: Record<string, unknown> }
export type OraclePerson = {
  traits: Record<string, unknown>
  /** All of them that made the traits; of one instant the last one counts. */
  statements?: OracleStatement[]
  events: OracleEvent[]
  profileId?: number
  firstSeen?: number
  /** Slugs of the lists that one of the person's user ids is in. */
  lists?: string[]
  /** Definitions of metrics, by slug. */
  metrics?: Record<string, MetricDefinition>
  /** 99 cut points of each, by slug; revenue in minor units. */
  cuts?: Record<string, readonly string[]>
  /** Rules of other segments, by slug. */
  segments?: Record<string, Rule>
}

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
    case 'trait': {
      const found = person.traits[node.path]
      if (node.orMissing === true && (found === undefined || found === null)) return true
      return condition(found, node.op, node.value)
    }
    case 'dwell': {
      const now = pathValue(person.traits, node.path)
      const [name = ''] = node.path.split('.')
      const from = atMs - length(node.for)
      const later = (person.statements ?? []).map(({ time }) => time).filter((time) => time > from)
      return (
        now === node.value &&
        [from, ...later].every(
          (time) => JSON.stringify(traitsAt(person, time)[name]) === JSON.stringify(person.traits[name]),
        )
      )
    }
    case 'date': {
      const date = instant(person.traits[node.path])
      if (date === undefined) return false
      if (node.op === 'before') return date < Date.parse(node.value)
      if (node.op === 'after') return date > Date.parse(node.value)
      const ms = length(node.value)
      if (node.op === 'within') return date > atMs - ms && date <= atMs
      if (node.op === 'olderThan') return date <= atMs - ms
      if (node.op === 'inNext') return date > atMs && date <= atMs + ms
      return date > atMs + ms
    }
    case 'anniversary': {
      const zone = zoneOf(node.tz, person.traits)
      const value = person.traits[node.path]
      const date = instant(value)
      if (date === undefined) return false
      const [year = 0, month = 0, day = 0] = localDay(date, String(value).length === 10 ? 'UTC' : zone)
      const today = localDay(atMs, zone)
      // Every year from the date's own, in turn.
      for (let y = year; y <= (today[0] ?? 0) + 2; y++) {
        const isLeap = new Date(Date.UTC(y, 1, 29)).getUTCMonth() === 1
        const d = month === 2 && day === 29 && !isLeap && node.leapDay !== 'mar1' ? 28 : day
        const back = new Date(Date.UTC(y, month - 1, d) + (node.offset ?? 0) * 86_400_000)
        const parts = [back.getUTCFullYear(), back.getUTCMonth() + 1, back.getUTCDate()]
        if (parts.join() === today.join()) return true
      }
      return false
    }
    case 'geo': {
      const found = person.traits[node.path]
      if (node.countries) return typeof found === 'string' && node.countries.includes(found.toUpperCase())
      if (typeof found !== 'object' || found === null) return false
      const { lat, lon } = found as { lat?: unknown; lon?: unknown }
      if (typeof lat !== 'number' || typeof lon !== 'number') return false
      if (node.box) {
        const { south, north, west, east } = node.box
        const inLongitude = west <= east ? lon >= west && lon <= east : lon >= west || lon <= east
        return lat >= south && lat <= north && inLongitude
      }
      const circle = node.circle ?? { lat: 0, lon: 0, metres: 0 }
      // The angle between two unit vectors.
      const vector = (a: number, b: number) => {
        const [p, l] = [(a * Math.PI) / 180, (b * Math.PI) / 180]
        return [Math.cos(p) * Math.cos(l), Math.cos(p) * Math.sin(l), Math.sin(p)] as const
      }
      const [u, v] = [vector(lat, lon), vector(circle.lat, circle.lon)]
      const chord = Math.hypot(u[0] - v[0], u[1] - v[1], u[2] - v[2])
      return 2 * Math.asin(Math.min(1, chord / 2)) * 6_371_008.8 <= circle.metres
    }
    case 'sample': {
      const hash = createHash('md5').update(`${node.salt}:${person.profileId}`).digest('hex')
      const place = Number.parseInt(hash.slice(0, 8), 16) % 10_000
      return place >= node.from && place <= node.to
    }
    case 'segment': {
      const other = person.segments?.[node.segment]
      return other !== undefined && isMember(other, person, atMs)
    }
    case 'list':
      return (person.lists ?? []).includes(node.list)
    case 'computed':
      return computed(node, person, atMs)
    case 'quantile': {
      const definition = person.metrics?.[node.metric]
      const points = person.cuts?.[node.metric]
      if (definition === undefined || points === undefined || definition.k === 'pick') return false
      const window: Window = definition.k === 'time' ? { k: 'lifetime' } : definition.window
      const events = inWindow(matching(definition, person), window, person, atMs)
      return isBetween(numberOf(definition, events, person.traits, atMs), node, points)
    }
    case 'consent':
      return consentHolds(node, person.traits, person.events, atMs)
    case 'message': {
      const deeds = person.events.filter((event) => isDeed(node, event))
      return compare(inWindow(deeds, node.window, person, atMs).length, node.op, node.value)
    }
    case 'agg':
      return aggregate(node, person, atMs)
    case 'pick': {
      const events = inWindow(matching(node, person), node.window, person, atMs)
      const time = events.at(node.pick === 'first' ? 0 : -1)?.time
      return events.some(
        (event) => event.time === time && condition(event.properties[node.prop], node.op, node.value),
      )
    }
    case 'time': {
      const events = matching(node, person).filter((event) => event.time <= atMs)
      const event = events.at(node.pick === 'first' ? 0 : -1)
      if (event === undefined) return false
      return event.time > atMs - length(node.ago) === (node.op === 'within')
    }
    case 'absence': {
      if (node.requireProfileAge === true && node.window.k === 'rolling') {
        const known = person.firstSeen ?? 0
        if (known > atMs - length(node.window.last)) return false
      }
      return inWindow(matching(node, person), node.window, person, atMs).length === 0
    }
    case 'seq':
      return sequence(node, person, atMs)
  }
}

/** Its definition, compared. */
function computed({ metric, op, value }: ComputedNode, person: OraclePerson, atMs: number): boolean {
  const definition = person.metrics?.[metric]
  if (definition === undefined) return false
  if (definition.k !== 'time') return holds({ ...definition, op, value } as RuleNode, person, atMs)
  const days = daysSince(matching(definition, person), definition.pick, atMs)
  return days !== undefined && compare(days, op as Comparison, Number(value))
}

/** Every chain is tried. */
function sequence(node: SequenceNode, person: OraclePerson, atMs: number): boolean {
  const [firstStep, ...others] = node.steps
  if (firstStep === undefined) return false
  const starts = inWindow(matching(firstStep, person), node.window, person, atMs)
  if (starts.length < (node.min ?? 1)) return false
  const anchors = starts.filter(
    ({ time }) =>
      (node.anchor !== 'first' || time === starts[0]?.time) &&
      (node.anchor !== 'latest' || time === starts.at(-1)?.time) &&
      (typeof node.anchor !== 'object' || time === starts[node.anchor.kth - 1]?.time),
  )
  const isSame = (event: OracleEvent, start: OracleEvent, props: string[] = []) =>
    props.every((prop) => {
      const value = start.properties[prop]
      return (
        value !== undefined &&
        value !== null &&
        JSON.stringify(value) === JSON.stringify(event.properties[prop])
      )
    })
  const isQuiet = (last: OracleEvent, start: OracleEvent) => {
    const { none } = node
    if (none === undefined) return true
    const deadline = last.time + length(none.within)
    const end = none.until === 'now' ? atMs : deadline
    return (
      atMs >= deadline &&
      !matching(none, person).some(
        (event) => event.time > last.time && event.time <= end && isSame(event, start, none.same),
      )
    )
  }
  const goesOn = (last: OracleEvent, start: OracleEvent, rest: SequenceNode['steps']): boolean => {
    const [step, ...later] = rest
    if (step === undefined) return isQuiet(last, start)
    return inWindow(matching(step, person), node.window, person, atMs).some(
      (event) =>
        event.time > last.time &&
        (step.within === undefined || event.time - last.time <= length(step.within)) &&
        isSame(event, start, step.same) &&
        goesOn(event, start, later),
    )
  }
  return anchors.some((start) => goesOn(start, start, others))
}

type Events = { event: string; type?: string; where?: PropertyFilter[] }

/** By time. */
function matching(node: Events, person: OraclePerson): OracleEvent[] {
  return person.events
    .filter(
      (event) =>
        event.type === (node.type ?? 'track') &&
        (event.name === node.event || (node.event === '' && event.type !== 'track')) &&
        (node.where ?? []).every((filter) =>
          condition(event.properties[filter.prop], filter.op, filter.value),
        ),
    )
    .sort((a, b) => a.time - b.time)
}

function inWindow(events: OracleEvent[], window: Window, person: OraclePerson, atMs: number): OracleEvent[] {
  const known = events.filter((event) => event.time <= atMs && isOnClock(window, event.time, person.traits))
  if (window.k !== 'since') return known.filter(({ time }) => isIn(window, time, person.traits, atMs))
  const anchors = matching(window.anchor, person).filter(({ time }) => time <= atMs)
  const anchor = anchors.at(window.anchor.pick === 'first' ? 0 : -1)
  return known.filter(({ time }) => anchor !== undefined && time > anchor.time)
}

/** The traits at an instant, out of all that was said up to then. */
export function traitsAt(
  { statements = [] }: Pick<OraclePerson, 'statements'>,
  time: number,
): Record<string, unknown> {
  const traits: Record<string, unknown> = {}
  for (const one of statements.toSorted((a, b) => a.time - b.time))
    if (one.time <= time) Object.assign(traits, one.traits)
  return Object.fromEntries(Object.entries(traits).filter(([, value]) => value !== null))
}

function pathValue(traits: Record<string, unknown>, path: string): unknown {
  return path.split('.').reduce<unknown>((at, part) => Object(at)[part], traits)
}

function aggregate(node: AggNode, person: OraclePerson, atMs: number): boolean {
  const events = inWindow(matching(node, person), node.window, person, atMs)
  if (node.agg === 'count') return compare(events.length, node.op, Number(node.value))
  if (node.agg === 'distinct') {
    const values = events.map((event) => event.properties[node.prop ?? ''] ?? null)
    const different = new Set(values.filter((value) => value !== null).map((value) => JSON.stringify(value)))
    return compare(different.size, node.op, Number(node.value))
  }
  if (node.agg === 'days')
    return compare(differentDays(events, node.tz, person.traits), node.op, Number(node.value))
  if (node.agg === 'span') {
    const days = spanOfDays(events)
    return days !== undefined && compare(days, node.op, Number(node.value))
  }
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
