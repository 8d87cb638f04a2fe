// Edges of what rules mean, each said by one example: random rules and lives find them too, but not with one name each.
import { expect, test } from 'vitest'
import { decide, factsFor } from '../../../domain/segments/decide.ts'
import { indexEvents, type Occurrence } from '../../../domain/segments/facts.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'

const DAY = 86_400_000
const HOUR = 3_600_000
const AT = Date.UTC(2026, 10, 18, 12)
const REST = { type: 'track', value: null, currency: null }

function viewed(time: number, sku: string | null = 'shoe'): Occurrence {
  return { ...REST, name: 'Viewed', time, props: sku === null ? {} : { sku } }
}
const bought = (time: number): Occurrence => ({ ...viewed(time), name: 'Bought' })

function decided(match: unknown, events: Occurrence[], atMs: number, traits: Record<string, unknown> = {}) {
  const plan = compileRule(parseRule({ match }))
  const person = { profileId: 7, traits, firstMs: 0, lists: new Set<string>(), traitSince: {} }
  const sorted = [...events].sort((a, b) => a.time - b.time)
  return decide(plan, factsFor(plan, { ...person, events: indexEvents(sorted) }, new Map()), atMs)
}

const isMember = (...asked: Parameters<typeof decided>) => decided(...asked).holds

const count = (window: unknown, over: Record<string, unknown> = {}) => ({
  ...{ k: 'agg', event: 'Viewed', agg: 'count', window, op: 'gte', value: 1 },
  ...over,
})

test('an event leaves a window exactly when it is as old as the window is long', () => {
  const lately = count({ k: 'rolling', last: 'P30D' })
  expect(isMember(lately, [viewed(AT - 30 * DAY + 1)], AT)).toBe(true)
  expect(isMember(lately, [viewed(AT - 30 * DAY)], AT)).toBe(false)
  const before = count({ k: 'between', from: 'P7D', to: 'P30D' })
  expect(isMember(before, [viewed(AT - 7 * DAY)], AT)).toBe(true)
  expect(isMember(before, [viewed(AT - 7 * DAY + 1)], AT)).toBe(false)
})

test('a window from one instant to another is without the one and with the other', () => {
  const [from, to] = [AT - DAY, AT - HOUR]
  const then = count({ k: 'absolute', from: new Date(from).toISOString(), to: new Date(to).toISOString() })
  expect(isMember(then, [viewed(from)], AT)).toBe(false)
  expect(isMember(then, [viewed(from + 1)], AT)).toBe(true)
  expect(isMember(then, [viewed(to)], AT)).toBe(true)
  expect(isMember(then, [viewed(to + 1)], AT)).toBe(false)
})

test('a day whose midnight the clocks leave out begins at the change', () => {
  // In São Paulo 00:00 became 01:00 on 4 November 2018: 03:00 UTC.
  const change = Date.UTC(2018, 10, 4, 3)
  const today = count({ k: 'calendar', unit: 'day', tz: 'America/Sao_Paulo' })
  expect(isMember(today, [viewed(change)], change + HOUR)).toBe(true)
  expect(isMember(today, [viewed(change - 1)], change + HOUR)).toBe(false)
  expect(isMember(today, [viewed(change - 1)], change - 1)).toBe(true)
})

test('a day on which clocks go back has 25 hours', () => {
  const [from, to] = [Date.UTC(2026, 9, 24, 22), Date.UTC(2026, 9, 25, 23)]
  const today = count({ k: 'calendar', unit: 'day', tz: 'Europe/Berlin' })
  expect(isMember(today, [viewed(from)], to - 1)).toBe(true)
  expect(isMember(today, [viewed(from)], to)).toBe(false)
  expect(isMember(today, [viewed(from - 1)], to - 1)).toBe(false)
})

test('a value that one event still has is one of the different ones', () => {
  const kinds = count({ k: 'rolling', last: 'P30D' }, { agg: 'distinct', prop: 'sku' })
  // It ends with the last of the three.
  const events = [3, 2, 1].map((days) => viewed(AT - days * DAY))
  expect(decided(kinds, events, AT)).toEqual({ holds: true, until: AT + 29 * DAY })
})

test('29 February comes back on the 28th in common years, and on itself in leap years', () => {
  const birthday = { k: 'anniversary', path: 'born' }
  const on = (year: number, month: number, day: number, rule: unknown = birthday) =>
    isMember(rule, [], Date.UTC(year, month - 1, day, 12), { born: '2000-02-29' })
  expect([on(2027, 2, 28), on(2027, 3, 1)]).toEqual([true, false])
  expect([on(2028, 2, 28), on(2028, 2, 29), on(2028, 3, 1)]).toEqual([false, true, false])
  const march = { ...birthday, leapDay: 'mar1' }
  expect([on(2027, 2, 28, march), on(2027, 3, 1, march), on(2028, 3, 1, march)]).toEqual([false, true, false])
})

test('a step may come as long after the one before as is said, and no millisecond later', () => {
  const then = (within: string) => ({
    ...{ k: 'seq', window: { k: 'lifetime' } },
    steps: [{ event: 'Viewed' }, { event: 'Bought', within }],
  })
  const from = AT - DAY
  expect(isMember(then('PT1H'), [viewed(from), bought(from + HOUR)], AT)).toBe(true)
  expect(isMember(then('PT1H'), [viewed(from), bought(from + HOUR + 1)], AT)).toBe(false)
  expect(isMember(then('PT1H'), [viewed(from), bought(from)], AT)).toBe(false)
})

test('what must not happen is waited for to the last instant of its time', () => {
  const left = {
    ...{ k: 'seq', window: { k: 'lifetime' }, steps: [{ event: 'Viewed' }] },
    none: { event: 'Bought', within: 'PT24H' },
  }
  expect(isMember(left, [viewed(AT - DAY + 1)], AT)).toBe(false)
  expect(isMember(left, [viewed(AT - DAY)], AT)).toBe(true)
  expect(isMember(left, [viewed(AT - DAY), bought(AT)], AT)).toBe(false)
  expect(isMember(left, [viewed(AT - DAY), bought(AT + 1)], AT + 1)).toBe(true)
})
