// Which events the random rules of the segment oracle ask for, and in which windows: over what random-lives.ts makes.
import fc from 'fast-check'
import {
  CALENDAR_UNITS,
  type Clock,
  LIST_OPS,
  type PropertyFilter,
  type Scalar,
  TRAIT_OPS,
  type TraitOp,
  WEEKDAYS,
  type Window,
  type Zone,
} from '../../schema/rule.ts'
import { HOUR, START, texts } from './random-lives.ts'

const scalars: fc.Arbitrary<Scalar> = fc.oneof(
  fc.constantFrom(...texts),
  fc.constantFrom(0, 1, 2, 2.5, 10, -3),
  fc.boolean(),
)

/** Lord Howe changes by half an hour, Apia skipped a day, São Paulo changed at midnight. */
export const zone: fc.Arbitrary<Zone> = fc.constantFrom(
  'Europe/Berlin',
  'America/Sao_Paulo',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'UTC',
  { trait: 'zone' },
)
export const span = fc.constantFrom('PT1H', 'PT3H', 'PT6H', 'P1D')

const globs = fc
  .array(fc.constantFrom('*', '*', '?', 'a', 'b', 'B', 'Ä', '🎉', '.', "'", '\\*', '\\?', '\\\\'), {
    maxLength: 4,
  })
  .map((parts) => parts.join(''))

/** What they mean in RE2 they mean in JavaScript. */
const EXPRESSIONS = [
  '',
  'a',
  '^a',
  'b$',
  '^.b?$',
  '[aB]+',
  'a\\.b',
  '^(a|ab)$',
  '\\p{Lu}',
  '^.$',
  '(a?)*b',
  '^[^a]{1,2}$',
]

type Condition = { op: TraitOp; value?: Scalar | Scalar[] }

/** A condition on a trait or property: operator and a value it takes. */
export const condition = fc.constantFrom(...TRAIT_OPS).chain((op): fc.Arbitrary<Condition> => {
  if (op === 'exists' || op === 'missing') return fc.constant({ op })
  if (LIST_OPS.includes(op))
    return fc.array(scalars, { minLength: 1, maxLength: 3 }).map((value) => ({ op, value }))
  if (op === 'contains' || op === 'startsWith' || op === 'endsWith')
    return fc.constantFrom(...texts).map((value) => ({ op, value }))
  if (op === 'like') return globs.map((value) => ({ op, value }))
  if (op === 'matches') return fc.constantFrom(...EXPRESSIONS).map((value) => ({ op, value }))
  return scalars.map((value) => ({ op, value }))
})

/** Filters on the properties that `life` gives. */
const filters = fc.array(
  fc
    .record({ prop: fc.constantFrom('sku', 'qty', 'tags', 'none') })
    .chain((prop) => condition.map((rest) => ({ ...prop, ...rest }))),
  { minLength: 1, maxLength: 2 },
)

type Events = { event: string; type?: string; where?: PropertyFilter[] }
const CALLS: Events[] = [
  { event: 'Order Completed' },
  { event: 'Viewed' },
  { event: 'Never' },
  { event: 'Home', type: 'page' },
]

/** Which events; a filter now and then. */
export const events: fc.Arbitrary<Events> = fc
  .record({ call: fc.constantFrom(...CALLS), where: fc.option(filters, { nil: undefined, freq: 3 }) })
  .map(({ call, where }) => ({ ...call, ...(where === undefined ? {} : { where }) }))

/** Mostly one that there is. */
const anchor: fc.Arbitrary<Events> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...CALLS.filter(({ event }) => event !== 'Never')) },
  { weight: 1, arbitrary: events },
)

const plainWindow: fc.Arbitrary<Window> = fc.oneof(
  { weight: 4, arbitrary: span.map((last) => ({ k: 'rolling' as const, last })) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(['PT1H', 'PT3H'] as const, ['PT30M', 'PT6H'] as const, ['PT6H', 'P2D'] as const)
      .map(([from, to]) => ({ k: 'between' as const, from, to })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record(
        {
          unit: fc.constantFrom(...CALENDAR_UNITS),
          offset: fc.integer({ min: -2, max: 0 }),
          count: fc.integer({ min: 1, max: 3 }),
          tz: zone,
          weekStart: fc.constantFrom(...WEEKDAYS),
        },
        { requiredKeys: ['unit'] },
      )
      .map((rest) => ({ k: 'calendar' as const, ...rest })),
  },
  { weight: 1, arbitrary: fc.constant({ k: 'lifetime' as const }) },
  {
    weight: 1,
    arbitrary: fc
      .record({ from: fc.integer({ min: -12, max: 0 }), hours: fc.integer({ min: 1, max: 12 }) })
      .map(({ from, hours }) => ({
        k: 'absolute' as const,
        from: new Date(START + from * HOUR).toISOString(),
        to: new Date(START + (from + hours) * HOUR).toISOString(),
      })),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({ events: anchor, pick: fc.constantFrom('first' as const, 'last' as const) })
      .map(({ events, pick }) => ({ k: 'since' as const, anchor: { ...events, pick } })),
  },
)

const timeOfDay = fc.constantFrom('00:00', '02:30', '06:00', '09:00', '12:00', '15:00', '23:00')
export const clock: fc.Arbitrary<Clock> = fc
  .record(
    {
      dow: fc.subarray([...WEEKDAYS], { minLength: 3 }),
      hours: fc.record({ from: timeOfDay, to: fc.oneof(timeOfDay, fc.constant('24:00')) }),
      tz: zone,
    },
    { requiredKeys: [] },
  )
  .filter(({ dow, hours }) => (hours === undefined ? dow !== undefined : hours.from !== hours.to))
  .map(({ dow, hours, tz }) => ({
    ...(dow === undefined ? {} : { dow }),
    ...(hours === undefined ? {} : { hours }),
    ...(tz === undefined ? {} : { tz }),
  }))

export const window: fc.Arbitrary<Window> = fc.oneof(
  { weight: 3, arbitrary: plainWindow },
  {
    weight: 1,
    arbitrary: fc.record({ plain: plainWindow, clock }).map(({ plain, clock }) => ({ ...plain, clock })),
  },
)
