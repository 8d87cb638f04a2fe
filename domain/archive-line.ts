// The archive form (schema/archive-record.ts) of an event as JSON text: put together from the texts that the event
// carries, parsed only where a sender's own field has the name of one of ours. Pure; called by the archive pool.

import type { NormalEvent } from '../schema/event.ts'
import { isoTime } from './event-time.ts'
import { isJsonObject } from './validate-json.ts'

/** Our names that an envelope may hold too, as a field of the sender's own: ours counts. */
const OURS = ['rowKey', 'sourceId', 'value', 'currency', 'marks', 'timestamp', 'receivedAt']
const MAY_HOLD_OURS = new RegExp(`"(?:${OURS.join('|')})":`)

/** One JSON object without a line break. */
export function archiveLine(event: NormalEvent): string {
  const { type, name } = event
  const text = JSON.stringify
  const id = text(event.messageId)
  let line = `{"rowKey":${id},"messageId":${id},"type":"${type}"`
  if (type === 'track') line += `,"event":${text(name)}`
  else if (name !== '') line += `,"name":${text(name)}`
  if (event.userId !== undefined) line += `,"userId":${text(event.userId)}`
  if (event.anonymousId !== undefined) line += `,"anonymousId":${text(event.anonymousId)}`
  line += `,"timestamp":"${isoTime(event.time)}","receivedAt":"${isoTime(event.receivedAt)}"`
  line += `,"sourceId":${event.sourceId}`
  if (event.value !== undefined) line += `,"value":"${event.value}","currency":"${event.currency ?? ''}"`
  const content = type === 'identify' || type === 'group' ? 'traits' : 'properties'
  line += `,"marks":${event.marks},"${content}":${event.properties}`
  const rest = restOf(event.envelope)
  // A stored event comes back with the spaces and line breaks that Postgres has put in: none of them is in a string.
  return (rest === '' ? `${line}}` : `${line},${rest}}`).replaceAll('\n', ' ')
}

/** What ingest writes when a message has no field of its sender's own: those would stand first. */
const NOTHING_OF_SENDERS = ['{"context":', '{"sentAt":', '{"originalTimestamp":']

/** The members of the envelope, without braces. */
function restOf(envelope: string): string {
  if (NOTHING_OF_SENDERS.some((start) => envelope.startsWith(start)) || !MAY_HOLD_OURS.test(envelope))
    return envelope.trim().slice(1, -1)
  const fields: unknown = JSON.parse(envelope)
  if (!isJsonObject(fields)) return ''
  const kept = Object.entries(fields).filter(([name]) => !OURS.includes(name))
  return JSON.stringify(Object.fromEntries(kept)).slice(1, -1)
}
