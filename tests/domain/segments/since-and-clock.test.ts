// Windows since an event, clocks, k-th steps and times of traits against the plain evaluator, without anything beside them: in the
// rules of decide.test.ts they are too rare for every edge of theirs to be met.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide, factsFor } from '../../../domain/segments/decide.ts'
import { indexEvents, type Occurrence } from '../../../domain/segments/facts.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'
import { type Clock, COMPARISONS, type RuleNode, type Window } from '../../../schema/rule.ts'
import { DAYS, HOUR, life, START, statements } from '../../support/random-lives.ts'
import { clock, span } from '../../support/random-windows.ts'
import { isMember } from '../../support/segment-oracle.ts'
import { toldBy } from '../../support/told-traits.ts'

const events = fc.constantFrom(
  { event: 'Order Completed' },
  { event: 'Viewed' },
  { event: 'Home', type: 'page' },
)
const pick = fc.constantFrom('first' as const, 'last' as const)
const plain: fc.Arbitrary<Window> = fc.oneof(
  fc
    .record({ events, pick })
    .map(({ events, pick }): Window => ({ k: 'since', anchor: { ...events, pick } })),
  span.map((last): Window => ({ k: 'rolling', last })),
)
const since = plain.filter(({ k }) => k === 'since')
/** Few hours, so that an event at their end makes a difference. */
const shortClock: fc.Arbitrary<Clock> = fc.integer({ min: 2, max: 24 }).map((hour) => {
  const time = (of: number) => `${String(of).padStart(2, '0')}:00`
  return { hours: { from: time(hour - 2), to: time(hour) } }
})
const onClock = fc.oneof(
  fc.record({ plain, clock }).map(({ plain, clock }): Window => ({ ...plain, clock })),
  shortClock.map((clock): Window => ({ k: 'lifetime', clock })),
)

const counted = (window: fc.Arbitrary<Window>): fc.Arbitrary<RuleNode> =>
  fc
    .record({ events, window, op: fc.constantFrom(...COMPARISONS), value: fc.integer({ min: 0, max: 2 }) })
    .map(({ events, ...rest }) => ({ k: 'agg', agg: 'count', ...events, ...rest }))
const kth: fc.Arbitrary<RuleNode> = fc
  .record({ first: events, broken: events, window: plain, kth: fc.integer({ min: 1, max: 3 }), within: span })
  .map(({ first, broken, window, kth, within }) => ({
    ...{ k: 'seq', window, anchor: { kth }, steps: [first], none: { ...broken, within } },
  }))
const dwell: fc.Arbitrary<RuleNode> = fc
  .record({
    of: fc.constantFrom(
      { path: 'tier', value: 'a' },
      { path: 'vip', value: true },
      { path: 'seat.row', value: 'a' },
    ),
    for: span,
  })
  .map(({ of, ...rest }) => ({ k: 'dwell', ...of, ...rest }))

test.each<[string, fc.Arbitrary<RuleNode>]>([
  ['windows since an event', counted(since)],
  ['clocks', counted(onClock)],
  ['the k-th step', kth],
  ['the time that a trait has been so', dwell],
])(
  '%s: what they mean at every instant, and no change between two of theirs',
  (_, rule) => {
    const hours = fc.integer({ min: -30, max: 30 })
    let changes = 0
    fc.assert(
      fc.property(
        rule,
        life,
        statements,
        hours,
        fc.constantFrom(...DAYS),
        (match, lives, said, hour, day) => {
          const moved = <T extends { time: number }>(one: T): T => ({ ...one, time: one.time - START + day })
          const own = lives.map(moved)
          const told = toldBy(said.map(moved))
          const person = { ...told.person, events: own, profileId: 7, firstSeen: day - 48 * HOUR }
          const occurrences = own.map(
            ({ properties, ...rest }): Occurrence => ({
              value: null,
              currency: null,
              ...rest,
              props: properties,
            }),
          )
          const known = { ...told.known, profileId: 7, firstMs: person.firstSeen, lists: new Set<string>() }
          const index = indexEvents(occurrences.sort((a, b) => a.time - b.time))
          const plan = compileRule(parseRule({ match }))
          const facts = factsFor(plan, { ...known, events: index }, new Map())
          let at = day + hour * HOUR
          for (let step = 0; step < 5; step++) {
            const { holds, until } = decide(plan, facts, at)
            expect(holds, `at ${new Date(at).toISOString()}`).toBe(isMember({ match }, person, at))
            const end = Math.min(until, at + 3 * 24 * HOUR)
            for (let between = at + 1; between < end; between += Math.max(1, Math.floor((end - at) / 7)))
              expect(holds, `at ${new Date(between).toISOString()}`).toBe(
                isMember({ match }, person, between),
              )
            if (end - 1 > at) expect(holds, 'just before').toBe(isMember({ match }, person, end - 1))
            if (until > end) break
            if (decide(plan, facts, until).holds !== holds) changes += 1
            at = until
          }
        },
      ),
      { numRuns: Number(process.env.MILLRACE_RUNS ?? 600) },
    )
    expect(changes).toBeGreaterThan(10)
  },
  120_000,
)
