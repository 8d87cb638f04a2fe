// The requests of the load tests: valid JSON, ids that never meet, and figures that say what they hold.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { buildRequest, type Kind } from '../../loadtest/payload.ts'
import { COUNTS, emptyTally, tallyOfAnswer, tallyOfRequest, unclearOf } from '../../loadtest/tally.ts'

const shape = { run: 'load-abc', nowMs: Date.UTC(2026, 10, 21), users: 100, batchEvents: 50 }
const KINDS: Kind[] = ['batch', 'single', 'spender']

function messagesOf(kind: Kind, request: number): { messageId?: string; userId: string }[] {
  const { path, body } = buildRequest(kind, request, shape)
  const parsed = JSON.parse(body)
  return path === '/v1/batch' ? parsed.batch : [parsed]
}

test('a request says how many events it holds, which are wrong, and the sum of the others', () => {
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), fc.nat(5_000_000), (kind, request) => {
      const built = buildRequest(kind, request, shape)
      expect(buildRequest(kind, request, shape)).toEqual(built)
      const messages = messagesOf(kind, request)
      const numbered = messages.flatMap((one) => one.messageId ?? [])
      expect(numbered).toHaveLength(built.valid)
      expect(messages.length - numbered.length).toBe(built.invalid)
      const numbers = numbered.map((id) => Number(id.slice(shape.run.length + 1)))
      expect(numbers.every((number) => number > 0)).toBe(true)
      expect(numbers.reduce((sum, number) => sum + number, 0)).toBe(built.checksum)
      expect(messages.every((one) => one.userId === 'nobody' || one.userId.startsWith(shape.run))).toBe(true)
    }),
  )
})

test('no two requests share an id', () => {
  const ids = KINDS.flatMap((kind) =>
    Array.from({ length: 300 }, (_, request) => messagesOf(kind, request)).flat(),
  ).flatMap((one) => one.messageId ?? [])
  expect(ids).toHaveLength(300 * (50 + 1 + 7))
  expect(new Set(ids).size).toBe(ids.length)
})

test('the batches of a body stay below the limits of a request', () => {
  expect(Buffer.byteLength(buildRequest('batch', 25, { ...shape, batchEvents: 1_000 }).body)).toBeLessThan(
    512_000,
  )
})

const built = buildRequest('spender', 7, shape)
test.each([
  [200, false, { accepted: 7, refused: 0, spenders: 1, checksum: built.checksum }, 0],
  [429, false, { shed: 7, spendersShed: 1 }, 0],
  [400, false, { shed: 7, spendersShed: 1 }, 0],
  [503, false, {}, 7],
  [0, false, {}, 7],
  [200, true, { resent: 7 }, 0],
  [503, true, {}, 0],
])('answer %i (again: %s) is counted as it must be', (status, isAgain, expected, unclear) => {
  const begun = tallyOfRequest('spender', built, isAgain)
  expect(begun).toEqual(isAgain ? { requests: 1 } : { requests: 1, sent: 7, spendersSent: 1 })
  const added = tallyOfAnswer('spender', built, status, isAgain)
  expect(added).toEqual(expected)
  expect(unclearOf({ ...emptyTally(), ...begun, ...added })).toEqual({
    events: unclear,
    spenders: unclear > 0 ? 1 : 0,
  })
})

test('a request whose answer was never seen is unclear', () => {
  const begun = tallyOfRequest('single', buildRequest('single', 1, shape))
  expect(unclearOf({ ...emptyTally(), ...begun })).toEqual({ events: 1, spenders: 0 })
})

test('every count begins at 0', () => {
  expect(emptyTally()).toEqual(Object.fromEntries(COUNTS.map((name) => [name, 0])))
})
