// What is left of a job's data for the board, whatever the data is.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { summariseJobData } from '../../dashboard/summarise.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'

test('events are counted by type, with their first ids and when the first was received', () => {
  const events = Array.from({ length: 30 }, (_, i) =>
    normalEvent({
      messageId: `m${i}`,
      userId: i % 2 === 0 ? 'a@example.com' : 'b@example.com',
      type: i === 0 ? 'page' : 'track',
    }),
  )
  const shown = summariseJobData(normalBatch(events, 'batch-0001'), 'secret')
  expect(shown).toMatchObject({
    batchId: 'batch-0001',
    events: 30,
    types: { page: 1, track: 29 },
    receivedAt: '2026-11-20T12:00:01.000Z',
  })
  expect(shown.messageIds).toHaveLength(20)
  expect(shown.people).toHaveLength(2)
  expect(JSON.stringify(shown)).not.toContain('example.com')
})

test('touched profiles are counted and the first are shown', () => {
  const profileIds = Array.from({ length: 50 }, (_, i) => i)
  const shown = summariseJobData(
    {
      v: 1,
      batchId: 'batch-0002',
      shard: 3,
      reason: 'event',
      profileIds,
      receivedAt: 0,
    },
    'secret',
  )
  expect(shown).toMatchObject({
    shard: 3,
    reason: 'event',
    profiles: 50,
    receivedAt: '1970-01-01T00:00:00.000Z',
  })
})

test('no string of an unknown payload is ever shown, and nothing makes it throw', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (data) => {
      const shown = JSON.stringify(
        summariseJobData({ requests: [{ messages: [{ traits: data }] }], other: data }, 's'),
      )
      expect(shown.length).toBeLessThan(2000)
      summariseJobData(data, 's')
      summariseJobData({ events: data }, 's')
      summariseJobData({ requests: data }, 's')
    }),
  )
})
