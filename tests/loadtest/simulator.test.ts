// The simulator: the committed numbers take what they are meant to take, and what must hold for any load holds.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import capacity from '../../domain/capacity.json' with { type: 'json' }
import { constant, flashSale, recorded, spike } from '../../loadtest/simulator/load-curves.ts'
import { drawingOf, reportOf } from '../../loadtest/simulator/report.ts'
import { simulate } from '../../loadtest/simulator/run.ts'
import { loadOfPeak, scenarios } from '../../loadtest/simulator/scenarios.ts'
import { worldFor } from '../../loadtest/simulator/world.ts'

const named = (name: string) => {
  const found = scenarios(capacity).find((one) => one.name === name)
  if (found === undefined) throw new Error(`no scenario ${name}`)
  return { scenario: found, result: simulate(found.world, found.curve, found.seconds) }
}

describe('the scenarios', () => {
  test.each(['constant', 'spike', 'daily', 'flash-sale-prepared'])('%s: nothing is refused', (name) => {
    const { result } = named(name)
    expect(result.refused).toBeLessThan(1)
    expect(result.closed).toBeUndefined()
    expect(result.drainedAfterSeconds).toBeLessThanOrEqual(60)
    expect(Math.max(...result.pools.map((one) => one.worstAgeSeconds))).toBeLessThanOrEqual(10)
  })

  test('an unprepared sale is refused in part while pods start, and the door opens again for good', () => {
    const { result } = named('flash-sale')
    expect(result.refused / result.offered).toBeGreaterThan(0.01)
    expect(result.refused / result.offered).toBeLessThan(0.15)
    // Five minutes of the full rate end at 610 s.
    expect(result.closed?.to).toBeLessThan(480)
  })

  test('deep marks halve what is refused', () => {
    expect(named('flash-sale-deep').result.refused).toBeLessThan(named('flash-sale').result.refused / 2)
  })

  test('a day costs a third less than its peak would cost all day', () => {
    const { result } = named('daily')
    const hours = result.pools.reduce((sum, one) => sum + one.podHours, 0)
    const peak = result.pools.reduce((sum, one) => sum + one.maxPods, 0) * 24
    expect(hours).toBeLessThan((peak * 2) / 3)
    expect(result.pools.map((one) => one.flaps)).toEqual(result.pools.map(() => 0))
  })

  test('the report has a row a pool and its course', () => {
    const { scenario, result } = named('spike')
    const text = reportOf(scenario, result)
    expect(text).toMatch(/^POOL +WORST BACKLOG +WORST AGE +PODS/m)
    for (const { pool } of result.pools) expect(text).toMatch(new RegExp(`^${pool} `, 'm'))
    expect(text).toMatch(/refused 0 \(0\.00 %\)/)
    expect(text).toMatch(/^offered \/s +▂+.*█/m)
    expect(drawingOf(scenario, result)).toMatch(/^<svg .*<polyline points="130\.0,/)
  })
})

test('nobody works: what was accepted waits, and the report says that it did not drain', () => {
  const world = worldFor(capacity, loadOfPeak(50_000))
  const still = world.scaling.map((row) =>
    row.pool === 'persist' ? { ...row, minReplicas: 0, maxReplicas: 0 } : row,
  )
  const result = simulate({ ...world, scaling: still }, constant(20_000), 600)
  expect(result.drainedAfterSeconds).toBeUndefined()
  // The door keeps the backlog at its marks instead of taking what it cannot keep.
  expect(result.refused).toBeGreaterThan(0)
  const waiting = result.pools.reduce((sum, one) => sum + one.worstBacklogJobs, 0)
  expect(waiting).toBeLessThan(world.marks.hardDepthJobs + 1_000)
})

test('a recorded load is read line by line, and a wrong line is named', () => {
  expect(recorded('second,rate\n0,10\n1,20\n', 3)).toMatchObject({ seconds: 2, peak: 60 })
  expect(() => recorded('second,rate\n0,ten\n', 1)).toThrow('line 2 must be "second,events per second"')
})

const anyPeak = fc.integer({ min: 1_000, max: 900_000 })
const anyShards = fc.constantFrom(4, 8, 16, 32, 64)

describe('for any load that the limits can carry', () => {
  test('a constant load leads to constant pods: no oscillation', () => {
    fc.assert(
      fc.property(anyPeak, anyShards, (rate, shards) => {
        const world = worldFor(capacity, loadOfPeak(rate, shards), { marks: 'planned' })
        const result = simulate(world, constant(rate), 3_600)
        const late = result.changes.filter((change) => change.atSeconds > 1_800 && change.atSeconds < 3_600)
        expect(late).toEqual([])
        expect(result.pools.filter((one) => one.flaps > 0)).toEqual([])
      }),
      { numRuns: 40 },
    )
  }, 60_000)

  test('whatever was accepted is worked off: every backlog drains, and no pool is left without pods', () => {
    fc.assert(
      fc.property(
        fc.record({
          base: fc.integer({ min: 0, max: 100_000 }),
          peak: anyPeak,
          rampSeconds: fc.integer({ min: 1, max: 120 }),
          holdSeconds: fc.integer({ min: 1, max: 600 }),
          isSale: fc.boolean(),
        }),
        anyShards,
        ({ isSale, ...shape }, shards) => {
          const peak = Math.max(shape.peak, shape.base)
          const curve = isSale
            ? flashSale({ ...shape, peak, fromSeconds: 60, halvedEverySeconds: 60 })
            : spike({ ...shape, peak, fromSeconds: 60 })
          const world = worldFor(capacity, loadOfPeak(peak, shards))
          const result = simulate(world, curve, 1_500)
          expect(result.drainedAfterSeconds).toBeLessThanOrEqual(600)
          expect(result.accepted).toBeLessThanOrEqual(result.offered)
          for (const { pool, minPods, maxPods } of result.pools) {
            expect(minPods).toBeGreaterThanOrEqual(1)
            const limit = world.scaling.find((row) => row.pool === pool)?.maxReplicas ?? 0
            expect(maxPods).toBeLessThanOrEqual(pool === 'segment' ? Math.min(limit, shards) : limit)
          }
        },
      ),
      { numRuns: 60 },
    )
  }, 60_000)
})
