// Sessions are the same however their events are cut up and put together again.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mergeSessions, SESSION_GAP_MS, type Session } from '../../domain/sessions.ts'

const MINUTE = 60_000

const events: fc.Arbitrary<Session[]> = fc
  .array(
    fc.record({
      minutes: fc.integer({ min: 0, max: 300 }),
      beside: fc.constantFrom(0, 0, 1, -1),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((times) =>
    times.map(({ minutes, beside }, i) => {
      const time = (minutes - (minutes % 10)) * MINUTE + beside
      const id = `m${String(i).padStart(2, '0')}`
      return { startedAt: time, endedAt: time, events: 1, firstMessageId: id, landing: { page: id } }
    }),
  )

/** All events in order, cut where the silence is too long. */
function plainly(pieces: Session[]): Session[] {
  const ordered = [...pieces].sort(
    (a, b) => a.startedAt - b.startedAt || (a.firstMessageId < b.firstMessageId ? -1 : 1),
  )
  const runs: Session[][] = []
  for (const event of ordered) {
    const run = runs.at(-1)
    const last = run?.at(-1)
    if (run !== undefined && last !== undefined && event.startedAt - last.startedAt <= SESSION_GAP_MS)
      run.push(event)
    else runs.push([event])
  }
  return runs.flatMap((run) => {
    const [first] = run
    return first === undefined ? [] : [{ ...first, endedAt: run.at(-1)?.endedAt ?? 0, events: run.length }]
  })
}

test('sessions are the runs of events with no more than thirty minutes of silence', () => {
  fc.assert(
    fc.property(events, (pieces) => {
      expect(mergeSessions(pieces)).toEqual(plainly(pieces))
    }),
  )
})

test('merging part by part, in any order, gives the same as all at once', () => {
  const cut = events.chain((pieces) =>
    fc.record({
      order: fc.shuffledSubarray(pieces, { minLength: pieces.length }),
      size: fc.integer({ min: 1, max: 5 }),
    }),
  )
  fc.assert(
    fc.property(cut, ({ order, size }) => {
      let stored: Session[] = []
      for (let at = 0; at < order.length; at += size)
        stored = mergeSessions([...stored, ...mergeSessions(order.slice(at, at + size))])
      expect(stored).toEqual(plainly(order))
    }),
  )
})

test('thirty minutes of silence keep a session, a millisecond more ends it', () => {
  const at = (time: number, id: string): Session => ({
    startedAt: time,
    endedAt: time,
    events: 1,
    firstMessageId: id,
    landing: {},
  })
  expect(mergeSessions([at(0, 'a'), at(30 * MINUTE, 'b')])).toHaveLength(1)
  expect(mergeSessions([at(0, 'a'), at(30 * MINUTE + 1, 'b')])).toHaveLength(2)
})

test('a late event in the gap joins two sessions, and what it is given stays as it was', () => {
  const [left, right] = [0, 50].map((minutes) => ({
    startedAt: minutes * MINUTE,
    endedAt: minutes * MINUTE,
    events: 3,
    firstMessageId: `at-${minutes}`,
    landing: { page: `/${minutes}` },
  }))
  const late = {
    startedAt: 25 * MINUTE,
    endedAt: 25 * MINUTE,
    events: 1,
    firstMessageId: 'late',
    landing: {},
  }
  const pieces = [right, late, left].flatMap((piece) => piece ?? [])
  const before = structuredClone(pieces)
  expect(mergeSessions(pieces)).toEqual([
    { startedAt: 0, endedAt: 50 * MINUTE, events: 7, firstMessageId: 'at-0', landing: { page: '/0' } },
  ])
  expect(pieces).toEqual(before)
})
