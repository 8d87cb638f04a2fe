// The course of each test over time: an arrival rate (open model), so that a slow system does not slow its own load down.
// A shape is given the full rate of one scenario, in iterations a second.
import type { Scenario } from 'k6/options'

export type Shape = (perSecond: number, seconds: number) => Scenario

/** Iterations are told a ten seconds, so that a scenario may have less than one a second. */
const UNIT_SECONDS = 10
const perUnit = (perSecond: number) => Math.max(1, Math.round(perSecond * UNIT_SECONDS))

/** Enough for answers in a second; up to four where they are late. */
function users(perSecond: number): { preAllocatedVUs: number; maxVUs: number } {
  const preAllocatedVUs = Math.min(1_000, Math.ceil(perSecond) + 10)
  return {
    preAllocatedVUs,
    maxVUs: Math.min(4_000, Math.max(preAllocatedVUs, Math.ceil(perSecond * 4) + 16)),
  }
}

export const constant: Shape = (perSecond, seconds) => ({
  executor: 'constant-arrival-rate',
  rate: perUnit(perSecond),
  timeUnit: `${UNIT_SECONDS}s`,
  duration: `${seconds}s`,
  ...users(perSecond),
})

/** Stages of [share of the rate, seconds to get there]; holding is a stage with the same share. */
function ramping(stages: (seconds: number) => [number, number][]): Shape {
  return (perSecond, seconds) => {
    const course = stages(seconds)
    const most = Math.max(...course.map(([share]) => share))
    return {
      executor: 'ramping-arrival-rate',
      startRate: perUnit(perSecond * (course[0]?.[0] ?? 1)),
      timeUnit: `${UNIT_SECONDS}s`,
      stages: course.map(([share, duration]) => ({
        target: perUnit(perSecond * share),
        duration: `${Math.max(1, Math.round(duration))}s`,
      })),
      ...users(perSecond * most),
    }
  }
}

/** A quarter of the rate, four times as much within ten seconds, held, and back: calm before and after are compared. */
export const spike = ramping((seconds) => [
  [0.25, seconds / 2],
  [1, 10],
  [1, seconds],
  [0.25, 10],
  [0.25, seconds / 2],
])

/** Half to one and a half of the rate in five steps: where answers become late is the knee. */
export const stress = ramping((seconds) =>
  [0.5, 0.75, 1, 1.25, 1.5].flatMap((share): [number, number][] => [
    [share, 5],
    [share, seconds / 5],
  ]),
)

/** Up to five times the rate; the thresholds end it where the system is full. */
export const breakpoint = ramping((seconds) => [
  [0.5, 1],
  [5, seconds],
])

/** Twice what can be carried, then the usual: the door must close, and open again. */
export const backpressure = ramping((seconds) => [
  [2, 5],
  [2, seconds],
  [0.25, 5],
  [0.25, seconds],
])
