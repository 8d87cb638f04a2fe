// When a lane counts as stuck: work there for a minute, none of it under way, and no other reason.
import { expect, test } from 'vitest'
import { STUCK_AFTER_MS, trackProgress } from '../../workers/progress.ts'

const WORK = new Set(['segment-00', 'segment-01'])
const NONE = new Set<string>()
const MINUTE = STUCK_AFTER_MS

test('work that nobody takes for a minute makes its lane stuck, and only that one', () => {
  const progress = trackProgress(['segment-00', 'segment-01', 'segment-02'])
  expect(progress.stuckLanes(WORK, 0)).toEqual([])
  progress.taken('segment-01')
  progress.finished('segment-01')
  expect(progress.stuckLanes(WORK, MINUTE - 1)).toEqual([])
  expect(progress.stuckLanes(WORK, MINUTE)).toEqual(['segment-00'])
})

test('a job under way is progress however long it takes', () => {
  const progress = trackProgress(['segment-00'])
  progress.taken('segment-00')
  expect(progress.stuckLanes(WORK, 0)).toEqual([])
  expect(progress.stuckLanes(WORK, 100 * MINUTE)).toEqual([])
  progress.finished('segment-00')
  expect(progress.stuckLanes(WORK, 101 * MINUTE)).toEqual([])
  expect(progress.stuckLanes(WORK, 102 * MINUTE)).toEqual(['segment-00'])
})

test('a lane that was empty in between, paused or out of sight, starts its minute anew', () => {
  const progress = trackProgress(['segment-00'])
  progress.stuckLanes(WORK, 0)
  progress.stuckLanes(NONE, MINUTE - 1)
  expect(progress.stuckLanes(WORK, MINUTE)).toEqual([])
  expect(progress.stuckLanes(WORK, 2 * MINUTE)).toEqual(['segment-00'])
})

test('a worker whom Redis refuses is trying, not stuck', () => {
  const progress = trackProgress(['segment-00'])
  progress.stuckLanes(WORK, 0)
  progress.refused('segment-00')
  expect(progress.stuckLanes(WORK, MINUTE)).toEqual([])
})
