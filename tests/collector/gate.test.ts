// When the door closes, with what answer, and when it opens again.
import { describe, expect, test } from 'vitest'
import { decide, type GateState, loadsOf, openGate, retryAfterSeconds } from '../../collector/gate.ts'
import type { LaneDepth, Sample } from '../../queues/depth.ts'

const MARKS = {
  softDepthJobs: 100,
  hardDepthJobs: 200,
  softAgeMs: 1000,
  softMemoryPercent: 60,
  hardMemoryPercent: 70,
}
let takenAt = 0
function sample(now: {
  ingest?: Partial<LaneDepth>
  persist?: Partial<LaneDepth>
  memory?: number
  reachable?: boolean
}): Sample {
  const lane = { waiting: 0, active: 0, delayed: 0, failed: 0, oldestAgeMs: 0 }
  takenAt += 1000
  return {
    takenAt,
    reachable: now.reachable ?? true,
    lanes: new Map([
      ['ingest', { ...lane, ...now.ingest }],
      ['persist', { ...lane, ...now.persist }],
      ['archive', { ...lane, waiting: 1_000_000, oldestAgeMs: 1_000_000 }],
    ]),
    usedMemoryBytes: now.memory ?? 0,
    maxMemoryBytes: 100,
  }
}
const next = (previous: GateState, now: Parameters<typeof sample>[0]) => {
  const taken = sample(now)
  return decide(previous, taken.reachable, loadsOf(taken, MARKS))
}

test('open below the marks, whatever waits further down', () => {
  expect(next('open', { ingest: { waiting: 50 }, persist: { waiting: 49 } }).state).toBe('open')
})

describe('a soft mark closes softly, a hard one hard', () => {
  test('depth counts ingest and persist together', () => {
    expect(next('open', { ingest: { waiting: 60 }, persist: { waiting: 40 } })).toEqual({
      state: 'soft',
      reason: 'depth',
    })
    expect(next('open', { ingest: { waiting: 200 } })).toEqual({ state: 'hard', reason: 'depth' })
  })
  test('age', () => {
    expect(next('open', { persist: { oldestAgeMs: 1000 } })).toEqual({ state: 'soft', reason: 'age' })
    expect(next('open', { persist: { oldestAgeMs: 4000 } })).toEqual({ state: 'hard', reason: 'age' })
  })
  test('memory', () => {
    expect(next('open', { memory: 60 })).toEqual({ state: 'soft', reason: 'memory' })
    expect(next('open', { memory: 70 })).toEqual({ state: 'hard', reason: 'memory' })
  })
  test('no Redis', () => {
    expect(next('open', { reachable: false })).toEqual({ state: 'hard', reason: 'redis' })
  })
})

test('a closed door opens again below 0.7 of its marks only, step by step', () => {
  expect(next('soft', { ingest: { waiting: 71 } }).state).toBe('soft')
  expect(next('soft', { ingest: { waiting: 69 } }).state).toBe('open')
  expect(next('hard', { ingest: { waiting: 141 } }).state).toBe('hard')
  expect(next('hard', { ingest: { waiting: 139 } }).state).toBe('soft')
  expect(next('hard', {}).state).toBe('open')
})

test('Retry-After follows the backlog and the rate it drains at, spread and bounded', () => {
  expect(retryAfterSeconds(170, MARKS, 10, 0.5)).toBe(10)
  expect(retryAfterSeconds(170, MARKS, 10, 0)).toBe(8)
  expect(retryAfterSeconds(170, MARKS, 10, 1)).toBe(13)
  expect(retryAfterSeconds(170, MARKS, 0, 0.5)).toBe(5)
  expect(retryAfterSeconds(1_000_000, MARKS, 1, 0.5)).toBe(60)
  expect(retryAfterSeconds(71, MARKS, 1000, 0.5)).toBe(1)
})

test('the gate looks once a sample, tells of changes and measures the drain while closed', () => {
  let current = sample({ ingest: { waiting: 300 } })
  const changes: string[] = []
  const gate = openGate({
    current: () => current,
    marks: MARKS,
    random: () => 0.5,
    onChange: (state, reason) => changes.push(`${state} ${reason}`),
  })
  expect(gate.refusal()).toEqual({ state: 'hard', reason: 'depth', retryAfterS: 5 })
  current = sample({ ingest: { waiting: 170 } })
  // 130 jobs in a second, of which the average takes three tenths.
  expect(gate.refusal()).toEqual({ state: 'hard', reason: 'depth', retryAfterS: 3 })
  current = sample({ ingest: { waiting: 10 } })
  expect(gate.refusal()).toBeUndefined()
  expect(changes).toEqual(['hard depth', 'open depth'])
  gate.stop()
})
