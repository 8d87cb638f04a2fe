// The autoscaling rule: HPA's formulae by example, and what holds for any load.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decideReplicas,
  limitsOf,
  NO_HISTORY,
  type PoolLoad,
  recommend,
  type ScalingHistory,
} from '../../domain/autoscale.ts'
import { BEHAVIOUR, type PoolScaling, SCALING } from '../../domain/scaling.ts'

const pool: PoolScaling = {
  pool: 'persist',
  queues: 'persist',
  minReplicas: 1,
  maxReplicas: 20,
  jobsPerReplica: 100,
  ageSeconds: 5,
  eventsPerSecondPerReplica: 10_000,
  jobsPerSecondPerReplica: 50,
}
const idle: PoolLoad = { jobs: 0, oldestAgeSeconds: 0, eventsPerSecond: 0, jobsPerSecond: 0 }
const two = { current: 2, ready: 2 }

describe('what is recommended', () => {
  test.each([
    ['depth shares the jobs out', { jobs: 730 }, two, 8, 'depth'],
    ['a tenth over the target changes nothing', { jobs: 219 }, two, 2, 'depth'],
    ['a little more does', { jobs: 221 }, two, 3, 'depth'],
    ['age multiplies those that work', { oldestAgeSeconds: 15 }, two, 6, 'age'],
    ['age does not count pods that only start', { oldestAgeSeconds: 15 }, { current: 6, ready: 2 }, 6, 'age'],
    ['events that arrive ask before a backlog is there', { eventsPerSecond: 64_000 }, two, 7, 'rate'],
    [
      'the largest of the three wins',
      { jobs: 300, oldestAgeSeconds: 10, eventsPerSecond: 11_000 },
      two,
      4,
      'age',
    ],
    ['what is finished keeps those that finish it', { jobsPerSecond: 140 }, two, 3, 'done'],
    ['nothing asks for nothing', {}, two, 0, null],
  ] as const)('%s', (_, load, replicas, wanted, signal) => {
    expect(recommend(pool, { ...idle, ...load }, replicas)).toEqual({ replicas: wanted, signal })
  })

  test('a signal that a pool does not count says nothing', () => {
    const collector = { ...pool, jobsPerReplica: null, ageSeconds: null }
    const load = { jobs: 1e6, oldestAgeSeconds: 1e6, eventsPerSecond: 1, jobsPerSecond: 0 }
    expect(recommend(collector, load, two)).toEqual({ replicas: 1, signal: 'rate' })
  })
})

/** Decisions 15 s apart on given recommendations. */
function follow(recommended: number[], options = { start: 1, limits: { min: 1, max: 100 } }) {
  let history: ScalingHistory = NO_HISTORY
  let current = options.start
  return recommended.map((wanted, i) => {
    const decision = decideReplicas({
      recommended: wanted,
      current,
      limits: options.limits,
      behaviour: BEHAVIOUR,
      history,
      atSeconds: i * 15,
    })
    history = decision.history
    current = decision.replicas
    return decision
  })
}
const counts = (recommended: number[], options?: Parameters<typeof follow>[1]) =>
  follow(recommended, options).map((decision) => decision.replicas)

describe('how fast it changes', () => {
  test('up by four pods or by double, whichever is more, each 15 s', () => {
    expect(counts([100, 100, 100, 100, 100])).toEqual([5, 10, 20, 40, 80])
    expect(follow([100])[0]?.heldBy).toBe('policy')
  })

  test('down only after five minutes of less, and then by a quarter a minute', () => {
    const down = counts([16, ...Array(40).fill(4)], { start: 16, limits: { min: 1, max: 100 } })
    // 300 s are 20 decisions: the last recommendation of 16 is forgotten at the twentieth.
    expect(down.slice(0, 20)).toEqual(Array(20).fill(16))
    expect(down.slice(20, 33)).toEqual([12, 12, 12, 12, 9, 9, 9, 9, 6, 6, 6, 6, 4])
  })

  test('one high recommendation within the window keeps the number', () => {
    const saw = Array.from({ length: 60 }, (_, i) => (i % 15 === 0 ? 8 : 2))
    expect(new Set(counts(saw, { start: 8, limits: { min: 1, max: 100 } }))).toEqual(new Set([8]))
    expect(follow(saw, { start: 8, limits: { min: 1, max: 100 } })[5]?.heldBy).toBe('window')
  })

  test('limits hold whatever is asked', () => {
    expect(counts([50, 50, 50], { start: 2, limits: { min: 2, max: 7 } })).toEqual([6, 7, 7])
    expect(counts([0], { start: 2, limits: { min: 2, max: 7 } })).toEqual([2])
    expect(follow([50, 50], { start: 7, limits: { min: 2, max: 7 } })[0]?.heldBy).toBe('limit')
  })
})

test('segment never has more replicas than shards', () => {
  const segment = SCALING.find((row) => row.pool === 'segment') ?? pool
  expect(limitsOf(segment, 4)).toEqual({ min: 2, max: 4 })
  expect(limitsOf(segment, 1)).toEqual({ min: 1, max: 1 })
  expect(limitsOf({ ...segment, maxReplicas: 12 }, 1024)).toEqual({ min: 2, max: 12 })
})

const anyLoad = fc.record({
  jobs: fc.nat(100_000),
  oldestAgeSeconds: fc.double({ min: 0, max: 600, noNaN: true }),
  eventsPerSecond: fc.nat(2_000_000),
  jobsPerSecond: fc.nat(10_000),
})

describe('for any load', () => {
  test('the number stays within its limits and changes no faster than the policies say', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SCALING),
        fc.integer({ min: 1, max: 64 }),
        fc.array(anyLoad, { minLength: 1, maxLength: 80 }),
        (scaling, shards, loads) => {
          const limits = limitsOf(scaling, shards)
          let current = limits.min
          let history: ScalingHistory = NO_HISTORY
          loads.forEach((load, i) => {
            const { replicas: recommended } = recommend(scaling, load, { current, ready: current })
            const atSeconds = i * BEHAVIOUR.scaleUp.periodSeconds
            const next = decideReplicas({
              recommended,
              current,
              limits,
              behaviour: BEHAVIOUR,
              history,
              atSeconds,
            })
            expect(next.replicas).toBeGreaterThanOrEqual(limits.min)
            expect(next.replicas).toBeLessThanOrEqual(limits.max)
            expect(next.replicas).toBeLessThanOrEqual(Math.max(2 * current, current + BEHAVIOUR.scaleUp.pods))
            expect(next.replicas).toBeGreaterThanOrEqual(Math.floor(current * 0.75))
            if (scaling.pool === 'segment') expect(next.replicas).toBeLessThanOrEqual(shards)
            current = next.replicas
            history = next.history
          })
          // What is remembered is bounded by the windows, not by how long it runs.
          expect(history.recommended.length).toBeLessThanOrEqual(21)
          expect(history.changed.length).toBeLessThanOrEqual(5)
        },
      ),
    )
  })

  test('the same load for long leads to one number and stays there', () => {
    fc.assert(
      fc.property(fc.constantFrom(...SCALING), anyLoad, fc.nat(64), (scaling, load, start) => {
        const limits = limitsOf(scaling, 16)
        let current = Math.min(limits.max, Math.max(limits.min, start))
        let history: ScalingHistory = NO_HISTORY
        const seen: number[] = []
        for (let i = 0; i < 400; i++) {
          const { replicas: recommended } = recommend(scaling, load, { current, ready: current })
          const next = decideReplicas({
            recommended,
            current,
            limits,
            behaviour: BEHAVIOUR,
            history,
            atSeconds: i * 15,
          })
          current = next.replicas
          history = next.history
          seen.push(current)
        }
        expect(new Set(seen.slice(-100)).size).toBe(1)
        const steps = seen.slice(1).map((count, i) => Math.sign(count - (seen[i] ?? 0)))
        const directions = steps.filter((step) => step !== 0)
        // Never up and down again and again: one direction throughout.
        expect(new Set(directions).size).toBeLessThanOrEqual(1)
      }),
    )
  })
})
