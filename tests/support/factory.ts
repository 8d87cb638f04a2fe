// Events as tests need them: plain defaults, every field open to change.
import { createHash } from 'node:crypto'
import type { NormalBatch, NormalEvent } from '../../schema/event.ts'

let counter = 0

/** A track event in the one form; the hash follows from its content unless given. */
export function normalEvent(overrides: Partial<NormalEvent> = {}): NormalEvent {
  counter += 1
  const event = {
    messageId: `m-${process.pid}-${counter}`,
    sourceId: 1,
    type: 'track' as const,
    name: 'Product Viewed',
    time: Date.UTC(2026, 10, 20, 12),
    receivedAt: Date.UTC(2026, 10, 20, 12, 0, 1),
    marks: 0,
    properties: '{}',
    envelope: '{}',
    ...overrides,
  }
  const content = JSON.stringify([
    event.type,
    event.name,
    event.userId,
    event.anonymousId,
    event.previousId,
    event.properties,
  ])
  const hash = createHash('sha256').update(content).digest().readBigInt64BE(0).toString()
  return { hash, ...event }
}

export function normalBatch(events: NormalEvent[], batchId?: string): NormalBatch {
  counter += 1
  return { v: 1, batchId: batchId ?? `batch-${process.pid}-${counter}`, events }
}
