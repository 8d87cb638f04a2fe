// Looks in step: what rests wakes up once for all of its looks.
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { inStep, untilStep } from '../../runtime/rhythm.ts'

const running: { stop(): void }[] = []
afterEach(() => {
  for (const one of running.splice(0)) one.stop()
})

test('a wait ends at a multiple of its period, and is never nothing', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 10, max: 60_000 }),
      fc.double({ min: 0, max: 1e9, noNaN: true }),
      (periodMs, nowMs) => {
        const waitMs = untilStep(periodMs, nowMs)
        expect(waitMs).toBeGreaterThanOrEqual(2)
        expect(waitMs).toBeLessThanOrEqual(periodMs + 2)
        const off = (nowMs + waitMs) % periodMs
        expect(Math.min(off, periodMs - off)).toBeLessThan(0.01)
      },
    ),
  )
})

test('a timer that fired a moment early does not take its step twice', () => {
  expect(untilStep(1000, 4999.5)).toBe(1000.5)
})

test('looks with one period that began at different times come together, and stop', async () => {
  const times: [string, number][] = []
  const { promise: seen, resolve } = Promise.withResolvers<void>()
  const note = (name: string) => () => {
    times.push([name, performance.now()])
    if (times.length === 6) resolve()
  }
  running.push(inStep(200, note('early')))
  await new Promise((done) => setTimeout(done, 70))
  running.push(inStep(200, note('late')))
  await seen
  for (const one of running) one.stop()
  // Whatever the machine does in between, one wake-up serves both.
  for (let i = times[0]?.[0] === times[1]?.[0] ? 1 : 0; i + 1 < times.length; i += 2) {
    expect([times[i]?.[0], times[i + 1]?.[0]].sort()).toEqual(['early', 'late'])
  }
  const count = times.length
  await new Promise((done) => setTimeout(done, 450))
  expect(times.length).toBe(count)
})
