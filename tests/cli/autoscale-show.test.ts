// What millrace autoscale shows: a table that is drawn over the last one, or a line for each change.
import { expect, test } from 'vitest'
import type { PoolDecision } from '../../cli/autoscale/scaler.ts'
import { lineOf, tableOf } from '../../cli/autoscale/show.ts'
import { REDRAW } from '../../cli/table.ts'

const io = { colours: false }
const load = { jobs: 640, oldestAgeSeconds: 7, eventsPerSecond: 90_000, jobsPerSecond: 12.4 }
const grows: PoolDecision = {
  pool: 'persist',
  load,
  from: 1,
  to: 3,
  wanted: 7,
  signal: 'depth',
  heldBy: 'machine',
}

test('in a terminal each look draws over the last one, with the reason and what holds it back', () => {
  const text = tableOf(
    [grows, { ...grows, pool: 'ingest', from: 1, to: 1, wanted: 1, signal: null, heldBy: null }],
    'Scaling',
    io,
  )
  expect(text.startsWith(REDRAW)).toBe(true)
  expect(text).toMatch(/^POOL +PROCESSES +WANTED +JOBS +OLDEST +DONE +WHY$/m)
  expect(text).toMatch(
    /^persist +1 -> 3 +7 +640 +7 s +12 jobs\/s +640 jobs ask for 7, --max-processes is reached$/m,
  )
  expect(text).toMatch(/^ingest +1 +1 .*idle$/m)
})

test.each([
  ['depth', '640 jobs ask for 7'],
  ['age', '7 s of age ask for 7'],
  ['rate', '90000 events/s ask for 7'],
  ['done', '12 jobs/s ask for 7'],
  [null, 'idle'],
] as const)('elsewhere a line says that %s asked', (signal, reason) => {
  const at = new Date('2026-11-21T12:00:05Z')
  expect(lineOf({ ...grows, signal }, at, false)).toBe(`12:00:05  persist  1 -> 3: ${reason}\n`)
  expect(lineOf({ ...grows, signal }, at, true)).toBe(
    `12:00:05  persist  1 -> 3: ${reason} (not done: --dry-run)\n`,
  )
  expect(lineOf({ ...grows, signal, to: 1 }, at, false)).toBe('')
})
