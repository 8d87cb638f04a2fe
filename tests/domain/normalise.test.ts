// The one event form: what of a message lands where, and that nothing of it is lost or invented.
import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { normalise, type Request } from '../../domain/normalise.ts'
import { MARKS, NormalEvent } from '../../schema/event.ts'

const RECEIVED = Date.UTC(2026, 10, 21, 12)
const TOLERANCE_MS = 300_000
const REQUEST: Request = { sourceId: 7, receivedAt: RECEIVED }

function form(message: Record<string, unknown>, request: Partial<Request> = {}) {
  const event = normalise(
    { type: 'track', event: 'Clicked', messageId: 'm-1', userId: 'u-1', ...message },
    { ...REQUEST, ...request },
    TOLERANCE_MS,
  )
  return { event, envelope: JSON.parse(event.envelope), properties: JSON.parse(event.properties) }
}

describe('time', () => {
  test('is what the message says, in any offset, and never shifted by sentAt', () => {
    const { event, envelope } = form(
      { timestamp: '2026-11-20T10:00:00.500+02:00' },
      { sentAt: Date.UTC(2020, 0, 1) },
    )
    expect(event.time).toBe(Date.UTC(2026, 10, 20, 8, 0, 0, 500))
    expect(event.marks).toBe(0)
    expect(envelope).toMatchObject({
      originalTimestamp: '2026-11-20T10:00:00.500+02:00',
      sentAt: '2020-01-01T00:00:00.000Z',
    })
  })

  test('is the originalTimestamp where there is no timestamp', () => {
    expect(form({ originalTimestamp: '2026-11-20T10:00:00.000Z' }).event.time).toBe(
      Date.UTC(2026, 10, 20, 10),
    )
  })

  test('is not kept twice', () => {
    expect(form({ timestamp: '2026-11-20T10:00:00.000Z' }).event.envelope).not.toContain('imestamp')
  })

  test('is the time of receipt, marked, where the message has none or an impossible one', () => {
    for (const timestamp of [undefined, '', 'yesterday', '2026-02-30T00:00:00Z']) {
      const { event } = form({ timestamp })
      expect([event.time, event.marks]).toEqual([RECEIVED, MARKS.serverTime])
    }
  })

  test('beyond the tolerance becomes the time of receipt, marked, and what was sent is kept', () => {
    const late = new Date(RECEIVED + TOLERANCE_MS + 1).toISOString()
    const { event, envelope } = form({ timestamp: late })
    expect([event.time, event.marks]).toEqual([RECEIVED, MARKS.clampedTime])
    expect(envelope.originalTimestamp).toBe(late)
    const within = form({ timestamp: new Date(RECEIVED + TOLERANCE_MS).toISOString() }).event
    expect([within.time, within.marks]).toEqual([RECEIVED + TOLERANCE_MS, 0])
  })
})

describe('ids and names', () => {
  test('a user id that stands for nobody does not count beside an anonymous id, and is kept in the envelope', () => {
    const { event, envelope } = form({ userId: 'guest', anonymousId: 'a-1' })
    expect(event.userId).toBeUndefined()
    expect(event.anonymousId).toBe('a-1')
    expect(envelope.millrace.ignoredUserId).toBe('guest')
    expect(form({ userId: 'guest' }).event.userId).toBe('guest')
  })

  test('a track is called by its event, a page and a screen by their name, the others by nothing', () => {
    expect(form({ name: 'x' }).event.name).toBe('Clicked')
    expect(form({ type: 'page', name: 'Home', event: 'x' }).event.name).toBe('Home')
    expect(form({ type: 'screen', name: undefined }).event.name).toBe('')
    expect(form({ type: 'identify', name: 'x' }).event.name).toBe('')
  })

  test('an alias keeps its previous id, also in the envelope', () => {
    const { event, envelope } = form({ type: 'alias', previousId: 'a-1', event: undefined })
    expect(event.previousId).toBe('a-1')
    expect(envelope.previousId).toBe('a-1')
  })
})

describe('content', () => {
  test('only the traits of an identify change the profile; those of a group stay with the group', () => {
    const identify = form({ type: 'identify', traits: { plan: 'pro' }, properties: { odd: 1 } })
    expect(identify.event.traits).toEqual({ plan: 'pro' })
    expect(identify.properties).toEqual({ plan: 'pro' })
    expect(identify.envelope.properties).toEqual({ odd: 1 })
    const group = form({ type: 'group', groupId: 'g-1', traits: { seats: 3 } })
    expect(group.event.traits).toBeUndefined()
    expect(group.properties).toEqual({ seats: 3 })
    expect(group.envelope.groupId).toBe('g-1')
    expect(form({ context: { traits: { plan: 'pro' } } }).event.traits).toBeUndefined()
  })

  test('what a batch says of all its events counts where the event says nothing itself', () => {
    const request = { context: { locale: 'de-DE' }, integrations: { All: false } }
    expect(form({}, request).envelope).toMatchObject(request)
    expect(form({ context: { locale: 'fr-FR' } }, request).envelope.context.locale).toBe('fr-FR')
  })

  test('keeps every unknown field, but not what a transport adds', () => {
    const { envelope } = form({ channel: 'web', version: 2, writeKey: 'mk', _metadata: {}, receivedAt: 'x' })
    expect(envelope).toMatchObject({ channel: 'web', version: 2 })
    expect(Object.keys(envelope)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/writeKey|_metadata|receivedAt/)]),
    )
  })

  test('has the same hash when sent again: later, by another client, with other sending fields', () => {
    const first = form({ timestamp: '2026-11-20T10:00:00.000Z', properties: { a: 1, b: [2] } }).event
    const again = form(
      { properties: { b: [2], a: 1 }, sentAt: 'x', _metadata: { n: 2 }, writeKey: 'k' },
      {
        receivedAt: RECEIVED + 3_600_000,
        userAgent: 'Mozilla/5.0',
        ip: '10.0.0.0',
        country: 'SE',
        gpc: true,
      },
    ).event
    expect(again.hash).toBe(first.hash)
    expect(form({ properties: { a: 1, b: [3] } }).event.hash).not.toBe(first.hash)
    expect(form({ properties: { a: 1, b: [2] }, userId: 'u-2' }).event.hash).not.toBe(first.hash)
  })

  test('any JSON in any field gives a form that its schema accepts, with all properties in it', () => {
    const anything = fc.jsonValue({ maxDepth: 4 })
    const object = fc.dictionary(fc.string(), anything)
    fc.assert(
      fc.property(
        fc.constantFrom('track', 'identify', 'page', 'screen', 'group', 'alias'),
        object,
        object,
        object,
        (type, properties, context, rest) => {
          const { event, properties: kept } = form({
            ...rest,
            type,
            messageId: 'm-1',
            userId: 'u-1',
            anonymousId: undefined,
            previousId: 'p-1',
            event: 'Order Completed',
            name: 'Home',
            properties,
            traits: properties,
            context,
            integrations: undefined,
          })
          expect(Value.Errors(NormalEvent, JSON.parse(JSON.stringify(event)))).toEqual([])
          expect(kept).toEqual(JSON.parse(JSON.stringify(properties)))
        },
      ),
    )
  })
})

describe('purchases', () => {
  const order = (properties: Record<string, unknown>) => form({ event: 'Order Completed', properties })

  test('are worth their revenue, else total, else value, in minor units', () => {
    expect(order({ revenue: 19.99, total: 25, value: 1 }).event).toMatchObject({
      value: '1999',
      currency: 'USD',
    })
    expect(order({ total: '25', value: 1, currency: 'eur' }).event).toMatchObject({
      value: '2500',
      currency: 'EUR',
    })
    expect(order({ value: 500, currency: 'JPY' }).event).toMatchObject({ value: '500', currency: 'JPY' })
  })

  test('with money that cannot be read have no value and a note saying why', () => {
    for (const properties of [{}, { revenue: '1,5' }, { revenue: 1, currency: 'dollars' }]) {
      const { event, envelope } = order(properties)
      expect(event).not.toHaveProperty('value')
      expect(event).not.toHaveProperty('currency')
      expect(envelope.millrace.note).toMatch(/purchase|currency/)
    }
  })

  test('other events have no value', () => {
    expect(form({ event: 'Order Refunded', properties: { revenue: 5 } }).event).not.toHaveProperty('value')
    expect(
      form({ type: 'page', name: 'Order Completed', properties: { revenue: 5 } }).event,
    ).not.toHaveProperty('value')
  })
})

const EXAMPLES = new URL('../../../shared/data/segment-spec/spec-examples.json', import.meta.url)
const examplesThere = existsSync(EXAMPLES)
if (!examplesThere) console.warn('SKIPPED: the examples of Segment’s specification are not on this machine')

test.skipIf(!examplesThere)('every example of Segment’s own specification takes the form', () => {
  const examples: { source: string; example: Record<string, unknown> }[] = JSON.parse(
    readFileSync(EXAMPLES, 'utf8'),
  )
  expect(examples.length).toBe(49)
  let purchases = 0
  examples.forEach(({ source, example }, i) => {
    const event = normalise({ messageId: `spec-${i}`, ...example }, REQUEST, TOLERANCE_MS)
    expect(Value.Errors(NormalEvent, JSON.parse(JSON.stringify(event))), source).toEqual([])
    expect(JSON.parse(event.properties), source).toEqual(
      (example.type === 'identify' || example.type === 'group' ? example.traits : example.properties) ?? {},
    )
    if (event.value !== undefined) purchases += 1
  })
  expect(purchases).toBeGreaterThan(0)
})
