// The public archive form: one line of JSON in Segment's field names, whatever the event holds.
import fc from 'fast-check'
import { Value } from 'typebox/value'
import { expect, test } from 'vitest'
import { archiveLine } from '../../domain/archive-line.ts'
import { normalise, type Request } from '../../domain/normalise.ts'
import { ArchiveRecord } from '../../schema/archive-record.ts'

const REQUEST: Request = { sourceId: 7, receivedAt: Date.UTC(2026, 10, 21, 12) }
const lineOf = (message: Record<string, unknown>, request: Partial<Request> = {}) =>
  archiveLine(normalise({ messageId: 'm-1', userId: 'u-1', ...message }, { ...REQUEST, ...request }, 0))

test('an event is archived under Segment’s names, with what it is known by', () => {
  const line = lineOf(
    {
      type: 'track',
      event: 'Order Completed',
      anonymousId: 'a-1',
      timestamp: '2026-11-21T10:00:00+01:00',
      properties: { revenue: 19.99 },
      context: { locale: 'sv-SE' },
      integrations: { All: true },
      channel: 'web',
    },
    { sentAt: REQUEST.receivedAt, gpc: true },
  )
  expect(JSON.parse(line)).toEqual({
    rowKey: 'm-1',
    messageId: 'm-1',
    type: 'track',
    event: 'Order Completed',
    userId: 'u-1',
    anonymousId: 'a-1',
    timestamp: '2026-11-21T09:00:00.000Z',
    receivedAt: '2026-11-21T12:00:00.000Z',
    originalTimestamp: '2026-11-21T10:00:00+01:00',
    sentAt: '2026-11-21T12:00:00.000Z',
    sourceId: 7,
    value: '1999',
    currency: 'USD',
    marks: 2,
    properties: { revenue: 19.99 },
    context: { locale: 'sv-SE' },
    integrations: { All: true },
    channel: 'web',
    millrace: { landing: { locale: 'sv-SE' } },
  })
})

test('an identify and a group carry traits, a page its name, an alias its previous id', () => {
  expect(JSON.parse(lineOf({ type: 'identify', traits: { plan: 'pro' } }))).toMatchObject({
    type: 'identify',
    traits: { plan: 'pro' },
  })
  expect(JSON.parse(lineOf({ type: 'group', groupId: 'g-1', traits: { seats: 3 } }))).toMatchObject({
    groupId: 'g-1',
    traits: { seats: 3 },
  })
  expect(JSON.parse(lineOf({ type: 'page', name: 'Home' })).name).toBe('Home')
  expect(JSON.parse(lineOf({ type: 'screen' }))).not.toHaveProperty('name')
  expect(JSON.parse(lineOf({ type: 'alias', previousId: 'a-9' })).previousId).toBe('a-9')
})

test('a field of the sender’s own with one of our names does not stand in twice: ours counts', () => {
  const line = lineOf({ type: 'track', event: 'A', rowKey: 'x', marks: 'y', value: 5, odd: { value: 6 } })
  expect(line.match(/"rowKey":/g)).toHaveLength(1)
  expect(line.match(/"marks":/g)).toHaveLength(1)
  expect(JSON.parse(line)).toMatchObject({ rowKey: 'm-1', marks: 32, odd: { value: 6 } })
  expect(JSON.parse(line)).not.toHaveProperty('value')
})

test('any event is one line, fits the published form and names no field twice', () => {
  const object = fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('value', 'rowKey', 'traits', 'name', 'timestamp', 'millrace')),
    fc.jsonValue({ maxDepth: 3 }),
  )
  fc.assert(
    fc.property(
      fc.constantFrom('track', 'identify', 'page', 'screen', 'group', 'alias'),
      object,
      object,
      (type, content, rest) => {
        const line = lineOf({
          ...rest,
          type,
          messageId: 'm-1',
          userId: 'u\n"1"',
          anonymousId: undefined,
          previousId: 'p',
          groupId: 'g',
          event: 'Order Completed',
          name: 'N',
          properties: content,
          traits: content,
          context: content,
          integrations: undefined,
        })
        expect(line).not.toContain('\n')
        const record: unknown = JSON.parse(line)
        expect(Value.Errors(ArchiveRecord, record)).toEqual([])
        expect(topLevelNames(line)).toBe(new Set(Object.keys(record as object)).size)
      },
    ),
  )
})

/** How many members the outermost object is written with, repeats included. */
function topLevelNames(line: string): number {
  let depth = 0
  let names = 0
  for (const [token] of line.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}:]/g)) {
    if (token === '{' || token === '[') depth += 1
    else if (token === '}' || token === ']') depth -= 1
    else if (token === ':' && depth === 1) names += 1
  }
  return names
}
