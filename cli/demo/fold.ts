// What must come out of the generated shop, found by a plain fold over its messages. Independent on purpose: it shares
// no code with the pipeline, so that both being wrong in the same way is unlikely.
import type { SegmentMessage } from './shop.ts'

export type Expected = {
  sent: number
  unique: number
  users: number
  sessions: number
  /** User ids in the demo's segment. */
  members: Set<string>
  deliveries: { email: number; push: number; webhook: number }
}

/** `at` = the instant at which the 30-day window ends. */
export function foldShop(messages: Iterable<SegmentMessage>, at: Date): Expected {
  const byId = new Map<string, SegmentMessage>()
  let sent = 0
  for (const message of messages) {
    sent += 1
    byId.set(message.messageId, message)
  }
  const unique = [...byId.values()]
  const people = connectIds(unique)
  const timesOf = new Map<string, number[]>()
  const orders = new Map<string, { cents: number; count: number }>()
  const traits = new Map<string, Record<string, unknown>>()
  const windowStart = at.getTime() - 30 * 86_400_000
  for (const message of unique) {
    const person = people.personOf(
      message.userId === undefined ? `a ${message.anonymousId}` : `u ${message.userId}`,
    )
    const time = Date.parse(message.timestamp)
    timesOf.set(person, [...(timesOf.get(person) ?? []), time])
    if (message.type === 'identify') traits.set(person, { ...traits.get(person), ...message.traits })
    if (message.event === 'Order Completed' && time > windowStart && time <= at.getTime()) {
      const total = orders.get(person) ?? { cents: 0, count: 0 }
      orders.set(person, {
        cents: total.cents + Math.round(Number(message.properties?.revenue) * 100),
        count: total.count + 1,
      })
    }
  }
  const members = new Set<string>()
  const deliveries = { email: 0, push: 0, webhook: 0 }
  for (const [person, total] of orders) {
    if (total.cents <= 100_000 || total.count <= 5) continue
    members.add(people.userOf(person) ?? person)
    deliveries.webhook += 1
    if (traits.get(person)?.email !== undefined) deliveries.email += 1
    if (traits.get(person)?.pushToken !== undefined) deliveries.push += 1
  }
  let sessions = 0
  for (const times of timesOf.values()) sessions += countSessions(times)
  return { sent, unique: unique.length, users: timesOf.size, sessions, members, deliveries }
}

/** Ids that ever appear on one message belong to one person. */
function connectIds(messages: SegmentMessage[]) {
  const parent = new Map<string, string>()
  const rootOf = (id: string): string => {
    let root = id
    for (let up = parent.get(root); up !== undefined; up = parent.get(root)) root = up
    return root
  }
  for (const { userId, anonymousId } of messages) {
    if (userId === undefined) continue
    const user = rootOf(`u ${userId}`)
    const device = rootOf(`a ${anonymousId}`)
    if (user !== device) parent.set(device, user)
  }
  return {
    personOf: rootOf,
    userOf: (root: string) => (root.startsWith('u ') ? root.slice(2) : undefined),
  }
}

function countSessions(times: number[]): number {
  times.sort((a, b) => a - b)
  let sessions = 0
  let previous = Number.NEGATIVE_INFINITY
  for (const time of times) {
    if (time - previous > 30 * 60_000) sessions += 1
    previous = time
  }
  return sessions
}
