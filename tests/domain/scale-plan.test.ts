// The plan for a load, and the numbers of domain/scaling.ts and of README against what was measured.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import measured from '../../domain/capacity.json' with { type: 'json' }
import type { Capacity } from '../../domain/capacity.ts'
import { cpuOf, type PlannedLoad, planFor, USE } from '../../domain/scale-plan.ts'
import { SCALING } from '../../domain/scaling.ts'

const capacity: Capacity = measured
const prices = {
  podVcpuHour: 0.04,
  podGibHour: 0.005,
  redisGibHour: 0.03,
  postgresVcpuHour: 0.09,
  postgresGibHour: 0.01,
  storageGibMonth: 0.1,
}
const load: PlannedLoad = {
  eventsPerSecond: 100_000,
  averageEventsPerSecond: 25_000,
  singlesShare: 0,
  deliveriesPerEvent: 0.004,
  backlogSeconds: 60,
  retentionDays: 30,
  shards: 16,
  postgresPoolSize: 6,
}
const replicasOf = (given: Partial<PlannedLoad>, pool: string) =>
  planFor({ ...load, ...given }, capacity, prices).pools.find((one) => one.pool === pool)?.replicas ?? 0

test('a plan by hand: 10 µs an event are 80,000 events a second of one replica', () => {
  const plain: Capacity = {
    ...capacity,
    cpuMicrosecondsPerEvent: {
      collector: 10,
      ingest: 10,
      persist: 10,
      segment: 10,
      archive: 10,
      postgres: 14,
      redis: 7,
    },
    cpuMicrosecondsPerDelivery: { deliver: 1_000, postgres: 0 },
    eventsPerJob: { ingest: 400, persist: 400, segment: 400, archive: 400 },
    postgresBytesPerEvent: 500,
    redisBytesPerWaitingEvent: 50,
  }
  const plan = planFor({ ...load, eventsPerSecond: 400_000 }, plain, prices)
  expect(plan.pools.map((one) => [one.pool, one.replicas])).toEqual([
    ['collector', 5],
    ['ingest', 5],
    ['persist', 5],
    ['segment', 5],
    ['deliver', 2],
    ['archive', 5],
    ['schedule', 1],
  ])
  // 2.8 s of Redis and 5.6 s of Postgres each second, on stores that are used to 70 %.
  expect(plan.redis.cores).toBe(4)
  expect(plan.postgres.cores).toBe(8)
  expect(plan.postgres.connections).toBe((28 + 3) * 6)
  // 24 M events of 50 bytes and what is always there, below the soft mark of 60 %.
  expect(plan.redis.maxmemoryBytes).toBe(10 * 2 ** 28)
  expect(plan.redis.softDepthJobs).toBe(60_000)
  expect(plan.postgres.storageBytes).toBeCloseTo(25_000 * 86_400 * 30 * 500 * 1.3, -6)
  expect(plan.monthlyCost.pods).toBe(Math.round(31 * (0.04 + 0.75 * 0.005) * 730))
  expect(plan.warnings).toEqual([expect.stringContaining('a Redis Cluster of 4 masters')])
})

test('more is never planned with less', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_000_000 }), fc.integer({ min: 1, max: 5 }), (rate, factor) => {
      const less = planFor({ ...load, eventsPerSecond: rate }, capacity, prices)
      const more = planFor({ ...load, eventsPerSecond: rate * factor }, capacity, prices)
      more.pools.forEach((one, i) => {
        expect(one.replicas).toBeGreaterThanOrEqual(less.pools[i]?.replicas ?? 0)
        expect(one.replicas).toBeGreaterThanOrEqual(SCALING[i]?.minReplicas ?? 0)
        // What is planned carries the load with a fifth to spare.
        if (one.eventsPerSecondPerReplica !== null)
          expect(one.replicas * (one.eventsPerSecondPerReplica + 1)).toBeGreaterThanOrEqual(rate * factor)
      })
      expect(more.monthlyCost.total).toBeGreaterThanOrEqual(less.monthlyCost.total)
    }),
  )
})

test('events that come alone cost collectors, and only them', () => {
  const many = { eventsPerSecond: 1_000_000 }
  const alone = { ...many, singlesShare: 1 }
  expect(replicasOf(alone, 'collector')).toBeGreaterThan(4 * replicasOf(many, 'collector'))
  expect(replicasOf(alone, 'ingest')).toBe(replicasOf(many, 'ingest'))
})

test('more segment replicas than shards are named with the mend', () => {
  const { warnings } = planFor({ ...load, eventsPerSecond: 5_000_000, shards: 4 }, capacity, prices)
  expect(warnings).toContainEqual(
    expect.stringMatching(/^segment needs \d+ replicas and 4 shards feed only 4: raise MILLRACE_SHARDS/),
  )
  expect(warnings).toContainEqual(
    expect.stringMatching(/^ingest needs \d+ replicas, .* raise its maxReplicas$/),
  )
  expect(warnings).toContainEqual(expect.stringMatching(/lower MILLRACE_POSTGRES_POOL_SIZE \(6\)/))
})

test.each(
  SCALING.filter((row) => row.eventsPerSecondPerReplica !== null).map((row) => [row.pool, row] as const),
)('the feed-forward of %s is not above what was measured', (pool, row) => {
  const cpu = cpuOf(pool, { ...load, singlesShare: pool === 'collector' ? 0.2 : 0 }, capacity) ?? Number.NaN
  const ceiling = (USE * 1e6) / cpu
  expect(row.eventsPerSecondPerReplica).toBeLessThanOrEqual(ceiling * 1.05)
  // Nor is it a number of another time: less than a third of it would only cost pods.
  expect(row.eventsPerSecondPerReplica).toBeGreaterThan(ceiling / 3)
})

test('a million events a second fit the limits', () => {
  const { pools, warnings } = planFor(
    { ...load, eventsPerSecond: 1_000_000, singlesShare: 0.2 },
    capacity,
    prices,
  )
  for (const { pool, replicas } of pools)
    expect(replicas, pool).toBeLessThanOrEqual(SCALING.find((row) => row.pool === pool)?.maxReplicas ?? 0)
  expect(warnings.filter((text) => text.includes('replicas'))).toEqual([])
})
