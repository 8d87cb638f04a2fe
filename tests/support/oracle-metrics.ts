// What metrics are, said plainly for the segment oracle: local days are counted as days, and whoever has nothing to count has no
// value to be ordered by.
import type { MetricDefinition } from '../../schema/metric.ts'
import type { QuantileNode, Zone } from '../../schema/rule.ts'
import { localDay, zoneOf } from './oracle-time.ts'

const DAY_MS = 86_400_000
type Timed = { time: number }

export function differentDays(
  events: Timed[],
  tz: Zone | undefined,
  traits: Record<string, unknown>,
): number {
  const zone = zoneOf(tz, traits)
  return new Set(events.map(({ time }) => localDay(time, zone).join())).size
}

export function spanOfDays(events: Timed[]): number | undefined {
  const times = events.map(({ time }) => time)
  return times.length === 0 ? undefined : (Math.max(...times) - Math.min(...times)) / DAY_MS
}

export function daysSince(events: Timed[], pick: 'first' | 'last', atMs: number): number | undefined {
  const times = events.map(({ time }) => time).filter((time) => time <= atMs)
  if (times.length === 0) return undefined
  return (atMs - (pick === 'first' ? Math.min(...times) : Math.max(...times))) / DAY_MS
}

type Event = { time: number; value?: number; currency?: string; properties: Record<string, unknown> }

/** What people are ordered by; `events` = those in the window. */
export function numberOf(
  definition: Exclude<MetricDefinition, { k: 'pick' }>,
  events: Event[],
  traits: Record<string, unknown>,
  atMs: number,
): number | undefined {
  if (events.length === 0) return undefined
  if (definition.k === 'time') return daysSince(events, definition.pick, atMs)
  const { agg, prop = '', currency = 'USD', tz } = definition
  if (agg === 'count') return events.length
  if (agg === 'days') return differentDays(events, tz, traits)
  if (agg === 'span') return spanOfDays(events)
  const found = events.map((event) => event.properties[prop] ?? null).filter((value) => value !== null)
  if (agg === 'distinct') return new Set(found.map((value) => JSON.stringify(value))).size || undefined
  const paid = events.filter((event) => event.currency === currency).map((event) => event.value ?? 0)
  const amounts = prop === 'revenue' ? paid : found.filter((value) => typeof value === 'number')
  if (amounts.length === 0) return undefined
  if (agg === 'min') return Math.min(...amounts)
  if (agg === 'max') return Math.max(...amounts)
  const sum = amounts.reduce((total, value) => total + value, 0)
  return agg === 'sum' ? sum : sum / amounts.length
}

export function isBetween(
  value: number | undefined,
  { from, to }: QuantileNode,
  points: readonly string[],
): boolean {
  if (value === undefined) return false
  const pointAt = (part: number) => Number(points[Math.round(part * 100) - 1])
  return (from === 0 || value >= pointAt(from)) && (to === 1 || value < pointAt(to))
}
