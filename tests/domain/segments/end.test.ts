// When a membership really ends, as it is served: to the millisecond what the plain oracle says, never early.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide, endOf, factsFor } from '../../../domain/segments/decide.ts'
import { indexEvents } from '../../../domain/segments/facts.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'
import { NEVER } from '../../../domain/segments/timed.ts'
import { occurrenceOf } from '../../support/occurrence.ts'
import { suppressedOf } from '../../support/oracle-contact.ts'
import { HOUR, life, lists, START, statements, traits } from '../../support/random-lives.ts'
import { KNOWN_METRICS, MEASURED } from '../../support/random-metrics.ts'
import { ruleNode } from '../../support/random-rules.ts'
import { isMember } from '../../support/segment-oracle.ts'
import { toldBy } from '../../support/told-traits.ts'

const DAY = 24 * HOUR

test('a member is one up to the end that is told, and is none at it', () => {
  let ended = 0
  fc.assert(
    fc.property(
      ruleNode,
      life,
      traits,
      statements,
      lists,
      fc.integer({ min: -30, max: 60 }),
      (match, events, first, said, inLists, hour) => {
        const plan = compileRule(parseRule({ match }), KNOWN_METRICS)
        const firstSeen = START - 48 * HOUR
        const told = toldBy([{ time: firstSeen, traits: first }, ...said])
        const person = { ...MEASURED, ...told.person, events, profileId: 7, firstSeen, lists: inLists }
        const sorted = events.map(occurrenceOf).sort((a, b) => a.time - b.time)
        const suppressed = suppressedOf(told.known.traits)
        const known7 = {
          ...{ ...told.known, profileId: 7, firstMs: firstSeen, suppressed },
          lists: new Set(inLists),
        }
        const facts = factsFor(plan, { ...known7, events: indexEvents(sorted) }, new Map())
        const at = START + hour * HOUR
        const { holds, until } = decide(plan, facts, at)
        if (!holds) return
        const end = endOf(plan, facts, until)
        expect(end).toBeGreaterThanOrEqual(until)
        if (end === NEVER) return
        ended += 1
        expect(isMember({ match }, person, end), `at its end, ${end}`).toBe(false)
        for (const part of [0, 0.25, 0.5, 0.75]) {
          const between = at + Math.floor((Math.min(end, at + 400 * DAY) - at) * part)
          expect(isMember({ match }, person, between), `${between} of ${end}`).toBe(true)
        }
        expect(isMember({ match }, person, end - 1)).toBe(true)
      },
    ),
    { numRuns: Number(process.env.MILLRACE_RUNS ?? 2000) },
  )
  expect(ended).toBeGreaterThan(30)
})

test('what goes on by another condition ends with that one, where `until` is early', () => {
  const count = (window: Record<string, unknown>) => ({
    ...{ k: 'agg', event: 'Seen', agg: 'count', op: 'gte', value: 1, window },
  })
  const match = {
    k: 'any',
    of: [count({ k: 'rolling', last: 'PT2H' }), count({ k: 'between', from: 'PT1H', to: 'PT3H' })],
  }
  const plan = compileRule(parseRule({ match }))
  const seen = { type: 'track', name: 'Seen', time: START, value: null, currency: null, props: {} }
  const known = { profileId: 7, traits: {}, traitSince: {}, firstMs: START, lists: new Set<string>() }
  const facts = factsFor(plan, { ...known, events: indexEvents([seen]) }, new Map())
  const { holds, until } = decide(plan, facts, START + HOUR / 2)
  expect([holds, until]).toEqual([true, START + 2 * HOUR])
  expect(endOf(plan, facts, until)).toBe(START + 3 * HOUR)
})
