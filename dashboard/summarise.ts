// What Bull Board may show of a job's data: ids, counts and sizes. Events carry personal data; who needs those reads them
// through the API, with a key and a line in no log. Pure; knows the payloads of queues/pipeline.ts by their members only.
import { createHmac } from 'node:crypto'

const IDS_SHOWN = 20

/**
 * A job's data without anything personal; unknown shapes are shown as their member names and size. People appear as
 * keyed hashes: a bare one of an address could be guessed.
 */
export function summariseJobData(data: unknown, secret: string): Record<string, unknown> {
  if (!isRecord(data)) return { bytes: sizeOf(data) }
  const head = pick(data, [
    'v',
    'batchId',
    'shard',
    'reason',
    'channel',
    'deliveryKey',
    'campaignId',
    'changeId',
    'profileId',
    'task',
  ])
  if (Array.isArray(data.requests))
    return { ...head, ...summariseRequests(data.requests, secret), bytes: sizeOf(data) }
  if (Array.isArray(data.events))
    return { ...head, ...summariseEvents(data.events, secret), bytes: sizeOf(data) }
  if (Array.isArray(data.profileIds)) {
    return {
      ...head,
      profiles: data.profileIds.length,
      profileIds: data.profileIds.slice(0, IDS_SHOWN),
      receivedAt: isoOf(data.receivedAt),
    }
  }
  if (Object.keys(head).length > 0) return head
  return { members: Object.keys(data).slice(0, IDS_SHOWN), bytes: sizeOf(data) }
}

function summariseRequests(requests: unknown[], secret: string): Record<string, unknown> {
  const messages = requests.flatMap((request) =>
    isRecord(request) && Array.isArray(request.messages) ? request.messages : [],
  )
  const received = requests.flatMap((request) => (isRecord(request) ? [request.receivedAt] : []))
  return { requests: requests.length, ...summariseMessages(messages, received, secret) }
}

function summariseEvents(events: unknown[], secret: string): Record<string, unknown> {
  const received = events.flatMap((event) => (isRecord(event) ? [event.receivedAt] : []))
  return summariseMessages(events, received, secret)
}

function summariseMessages(
  messages: unknown[],
  received: unknown[],
  secret: string,
): Record<string, unknown> {
  const types: Record<string, number> = {}
  const ids: string[] = []
  const people = new Set<string>()
  for (const message of messages) {
    if (!isRecord(message)) continue
    const type = String(message.type)
    types[type] = (types[type] ?? 0) + 1
    if (ids.length < IDS_SHOWN && typeof message.messageId === 'string') ids.push(message.messageId)
    const person = message.userId ?? message.anonymousId
    if (typeof person === 'string' && people.size < IDS_SHOWN) people.add(masked(person, secret))
  }
  const times = received.filter((time) => typeof time === 'number')
  return {
    events: messages.length,
    types,
    messageIds: ids,
    people: [...people],
    receivedAt: times.length === 0 ? undefined : isoOf(Math.min(...times)),
  }
}

/** Tells two people of one job apart without naming them. */
function masked(id: string, secret: string): string {
  return `person-${createHmac('sha256', secret).update(id).digest('hex').slice(0, 8)}`
}

function pick(data: Record<string, unknown>, members: string[]): Record<string, unknown> {
  return Object.fromEntries(
    members.filter((member) => member in data).map((member) => [member, data[member]]),
  )
}

function isoOf(time: unknown): string | undefined {
  return typeof time === 'number' && Number.isFinite(time) ? new Date(time).toISOString() : undefined
}

function sizeOf(data: unknown): number {
  return Buffer.byteLength(JSON.stringify(data) ?? '')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
