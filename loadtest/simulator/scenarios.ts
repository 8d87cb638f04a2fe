// The scenarios by name: what is sent, on a deployment of which size. Called by simulate.ts and its tests.
import type { Capacity } from '../../domain/capacity.ts'
import type { PlannedLoad } from '../../domain/scale-plan.ts'
import { constant, daily, flashSale, recorded, spike } from './load-curves.ts'
import type { Curve } from './run.ts'
import { preparedScaling, type World, worldFor } from './world.ts'

export type Scenario = { name: string; about: string; seconds: number; curve: Curve; world: World }

/** Of the demo's shop: 175 messages out of 50,003 events. */
const DELIVERIES_PER_EVENT = 0.0035
const MINUTE = 60

/** A peak as the plan takes it; batches only, as the figures were measured. */
export function loadOfPeak(eventsPerSecond: number, shards = 16): PlannedLoad {
  return {
    eventsPerSecond,
    averageEventsPerSecond: eventsPerSecond,
    singlesShare: 0,
    deliveriesPerEvent: DELIVERIES_PER_EVENT,
    backlogSeconds: 60,
    retentionDays: 30,
    shards,
    postgresPoolSize: 6,
  }
}

export function scenarios(capacity: Capacity): Scenario[] {
  return [
    {
      name: 'constant',
      about: '100,000 events/s from the first second, for an hour',
      seconds: 60 * MINUTE,
      curve: constant(100_000),
      world: worldFor(capacity, loadOfPeak(100_000)),
    },
    {
      name: 'spike',
      about: '50,000 events/s, four times as many for a minute',
      seconds: 20 * MINUTE,
      curve: spike({
        base: 50_000,
        peak: 200_000,
        fromSeconds: 5 * MINUTE,
        rampSeconds: 10,
        holdSeconds: MINUTE,
      }),
      world: worldFor(capacity, loadOfPeak(200_000)),
    },
    {
      name: 'daily',
      about: "a shop's day whose busiest hour has 300,000 events/s",
      seconds: 24 * 60 * MINUTE,
      curve: daily(300_000),
      world: worldFor(capacity, loadOfPeak(300_000)),
    },
    ...sales(capacity),
  ]
}

/** A flash sale at a million events a second: unprepared, with a deep queue, and prepared. */
function sales(capacity: Capacity): Scenario[] {
  const sale = {
    seconds: 30 * MINUTE,
    curve: flashSale({
      base: 20_000,
      peak: 1_000_000,
      fromSeconds: 5 * MINUTE,
      rampSeconds: 10,
      holdSeconds: 5 * MINUTE,
      halvedEverySeconds: 2 * MINUTE,
    }),
  }
  const salePeak = loadOfPeak(1_000_000)
  return [
    {
      name: 'flash-sale',
      about: '20,000 events/s, then 1,000,000 within ten seconds, unprepared',
      ...sale,
      world: worldFor(capacity, salePeak),
    },
    {
      name: 'flash-sale-deep',
      about: 'the same, with the depth marks of the plan for it',
      ...sale,
      world: worldFor(capacity, salePeak, { marks: 'planned' }),
    },
    {
      name: 'flash-sale-prepared',
      about: 'the same, with marks and minimum replicas of the plan for it',
      ...sale,
      world: worldFor(capacity, salePeak, {
        marks: 'planned',
        scaling: preparedScaling(capacity, salePeak),
      }),
    },
  ]
}

/** A load that was recorded, on a deployment whose stores are planned for its peak. */
export function recordedScenario(capacity: Capacity, file: string, text: string, scale: number): Scenario {
  const { curve, seconds, peak } = recorded(text, scale)
  const about = `${file}${scale === 1 ? '' : ` times ${scale}`}, at most ${Math.round(peak).toLocaleString('en-US')} events/s`
  return { name: 'recorded', about, seconds, curve, world: worldFor(capacity, loadOfPeak(peak)) }
}
