// The demo's progress display, on a terminal and without one.
import { expect, test } from 'vitest'
import { createProgress } from '../../../cli/demo/progress.ts'
import { manualClock } from '../../../runtime/clock.ts'

function setUp(options: { isTerminal: boolean; columns?: number }) {
  const clock = manualClock(1_000)
  const written: string[] = []
  const progress = createProgress({
    write: (text) => void written.push(text),
    isTerminal: options.isTerminal,
    columns: options.columns ?? 80,
    now: clock.now,
    stages: [
      { name: 'sent', total: 1_000 },
      { name: 'persisted', total: 2_000 },
    ],
  })
  return { clock, written, progress }
}

test('redraws the same lines in place', () => {
  const { clock, written, progress } = setUp({ isTerminal: true })
  progress.set('sent', 0)
  clock.advance(1_000)
  progress.set('sent', 250)
  expect(written).toEqual([
    '\u001b[2K  sent       ░░░░░░░░░░░░░░░░░░░░░░░░         0 of 1,000       0/s\n' +
      '\u001b[2K  persisted  ░░░░░░░░░░░░░░░░░░░░░░░░         0 of 2,000       0/s\n',
    '\u001b[2A\u001b[2K  sent       ██████░░░░░░░░░░░░░░░░░░       250 of 1,000     250/s    3 s left\n' +
      '\u001b[2K  persisted  ░░░░░░░░░░░░░░░░░░░░░░░░         0 of 2,000       0/s\n',
  ])
})

test('a note stands below the bars, and is redrawn with them', () => {
  const { clock, written, progress } = setUp({ isTerminal: true, columns: 60 })
  progress.set('sent', 1)
  progress.note('about 12 of them, and more text than fits into one line of it')
  clock.advance(200)
  progress.set('sent', 2)
  progress.note('exactly 13')
  progress.finish()
  expect(written.map((text) => text.split('\n').length - 1)).toEqual([2, 3, 3])
  expect(written[1]?.startsWith('\u001b[2A')).toBe(true)
  expect(written[1]).toContain('\u001b[2K  about 12 of them, and more text than fits into one line o\n')
  expect(written[2]?.startsWith('\u001b[3A')).toBe(true)
  expect(written[2]?.endsWith('\u001b[2K  exactly 13\n')).toBe(true)
})

test('draws at most ten times a second, and the last state always', () => {
  const { clock, written, progress } = setUp({ isTerminal: true })
  for (let done = 1; done <= 1_000; done += 1) {
    clock.advance(1)
    progress.set('sent', done)
  }
  expect(written.length).toBeGreaterThan(5)
  expect(written.length).toBeLessThanOrEqual(11)
  progress.finish()
  expect(written.at(-1)).toMatch(/1,000 of 1,000 .* done/)
})

test('says the rate of late while it runs, and of all when it is done', () => {
  const { clock, written, progress } = setUp({ isTerminal: true })
  progress.set('sent', 0)
  for (const done of [10, 20, 30, 40, 50, 60, 160, 260, 360, 460]) {
    clock.advance(1_000)
    progress.set('sent', done)
  }
  expect(written.at(-1)).toContain(' 100/s')
  clock.advance(10_000)
  progress.set('sent', 1_000)
  progress.finish()
  expect(written.at(-1)).toContain(' 50/s')
})

test('never wraps a line, however narrow the terminal', () => {
  for (const columns of [20, 60, 80, 200]) {
    const { clock, written, progress } = setUp({ isTerminal: true, columns })
    clock.advance(500)
    progress.set('sent', 333)
    const lines = (written.at(-1) ?? '').replaceAll('\u001b[2K', '').split('\n')
    for (const line of lines) expect(line.length).toBeLessThan(columns)
  }
})

test('without a terminal says every tenth once, in plain lines', () => {
  const { clock, written, progress } = setUp({ isTerminal: false })
  for (const done of [0, 50, 100, 120, 350, 1_000, 1_000]) {
    clock.advance(100)
    progress.set('sent', done)
  }
  progress.set('persisted', 1_990)
  progress.finish()
  expect(written).toEqual([
    '  sent: 10 %, 100 of 1,000, 500/s\n',
    '  sent: 35 %, 350 of 1,000, 875/s\n',
    '  sent: 100 %, 1,000 of 1,000, 2,000/s\n',
    '  persisted: 99 %, 1,990 of 2,000\n',
  ])
})
