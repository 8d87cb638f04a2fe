// Who may start processes when this machine has room for few.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shareRoom } from '../../cli/autoscale/share.ts'

const ask = (pool: string, current: number, wanted: number) => ({ pool, current, wanted })

test.each([
  ['the shortest comes first', [ask('a', 1, 2), ask('b', 1, 9)], 1, { a: 0, b: 1 }],
  ['everybody gets one before anybody gets two', [ask('a', 1, 2), ask('b', 1, 9)], 2, { a: 1, b: 1 }],
  ['what is left goes to who is still short', [ask('a', 1, 2), ask('b', 1, 9)], 5, { a: 1, b: 4 }],
  ['nobody gets more than it wants', [ask('a', 2, 3), ask('b', 4, 2)], 10, { a: 1, b: 0 }],
  ['no room is no room', [ask('a', 1, 3)], -1, { a: 0 }],
])('%s', (_, asks, room, granted) => {
  expect(Object.fromEntries(shareRoom(asks, room))).toEqual(granted)
})

test('no pool that wants more is passed over while another gets two, and no room is left while one wants', () => {
  const asks = fc.uniqueArray(
    fc.record({
      pool: fc.constantFrom('ingest', 'persist', 'segment', 'deliver', 'archive'),
      current: fc.integer({ min: 1, max: 5 }),
      wanted: fc.integer({ min: 0, max: 20 }),
    }),
    { selector: (one) => one.pool, minLength: 1 },
  )
  fc.assert(
    fc.property(asks, fc.integer({ min: 0, max: 20 }), (given, room) => {
      const granted = shareRoom(given, room)
      const got = (pool: string) => granted.get(pool) ?? 0
      const short = given.filter((one) => one.current + got(one.pool) < one.wanted)
      const total = given.reduce((sum, one) => sum + got(one.pool), 0)
      expect(total).toBeLessThanOrEqual(room)
      if (short.length > 0) expect(total).toBe(room)
      const most = Math.max(...given.map((one) => got(one.pool)))
      for (const one of short) expect(got(one.pool)).toBeGreaterThanOrEqual(most - 1)
    }),
  )
})
