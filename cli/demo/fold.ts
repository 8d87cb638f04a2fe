// What must come out of the generated shop, found by a plain fold over its messages. Called by run-demo.ts. Independent
// on purpose: it shares no code with the pipeline, so that both being wrong in the same way is unlikely. The order of
// the messages does not matter.
import type { SegmentMessage } from './message.ts'

export type Expected = {
  /** Messages, those sent again included. */
  sent: number
  unique: number
  /** Profiles: people who logged in somewhere, and devices on which nobody did. */
  users: number
  /** Those of them with a user id. */
  known: number
  sessions: number
  /** User ids in the demo's segment. */
  members: Set<string>
  /** Everyone who is in the segment gets one of each that can reach them. */
  deliveries: { email: number; push: number; webhook: number }
}

type Profile = {
  userId: string | undefined
  timesMs: number[]
  cents: number
  orders: number
  /** Trait -> [when it was said, by which message, its value]. */
  traits: Map<string, [number, string, unknown]>
}

const WINDOW_MS = 30 * 86_400_000
const SESSION_GAP_MS = 30 * 60_000

/** `at` = the instant at which the 30-day window ends. */
export function foldShop(messages: Iterable<SegmentMessage>, at: Date): Expected {
  const byId = new Map<string, SegmentMessage>()
  let sent = 0
  for (const message of messages) {
    sent += 1
    byId.set(message.messageId, message)
  }
  const profileOf = connectIds(byId.values())
  for (const message of byId.values()) addTo(profileOf(message), message, at.getTime())
  const profiles = [...new Set([...byId.values()].map(profileOf))]
  const members = profiles.filter((profile) => profile.cents > 100_000 && profile.orders > 5)
  return {
    sent,
    unique: byId.size,
    users: profiles.length,
    known: profiles.filter((profile) => profile.userId !== undefined).length,
    sessions: profiles.reduce((sum, profile) => sum + countSessions(profile.timesMs), 0),
    members: new Set(members.flatMap((profile) => profile.userId ?? [])),
    deliveries: {
      email: members.filter((profile) => hasTrait(profile, 'email')).length,
      push: members.filter((profile) => hasTrait(profile, 'pushToken')).length,
      webhook: members.length,
    },
  }
}

/** Ids that ever stand on one message belong to one profile, and so do those that are connected through others. */
function connectIds(messages: Iterable<SegmentMessage>): (message: SegmentMessage) => Profile {
  const parents = new Map<string, string>()
  const rootOf = (id: string): string => {
    let root = id
    for (let up = parents.get(root); up !== undefined; up = parents.get(root)) root = up
    return root
  }
  const profiles = new Map<string, Profile>()
  for (const { userId, anonymousId } of messages) {
    if (userId === undefined) continue
    const user = rootOf(`user ${userId}`)
    const device = rootOf(`device ${anonymousId}`)
    if (user !== device) parents.set(device, user)
  }
  return ({ userId, anonymousId }) => {
    const root = rootOf(userId === undefined ? `device ${anonymousId}` : `user ${userId}`)
    const known = profiles.get(root)
    if (known !== undefined) return known
    const profile = { userId: undefined, timesMs: [], cents: 0, orders: 0, traits: new Map() }
    profiles.set(root, profile)
    return profile
  }
}

function addTo(profile: Profile, message: SegmentMessage, atMs: number): void {
  const time = Date.parse(message.timestamp)
  profile.timesMs.push(time)
  profile.userId ??= message.userId
  if (message.type === 'identify') {
    for (const [trait, value] of Object.entries(message.traits ?? {})) {
      const [said, by] = profile.traits.get(trait) ?? [Number.NEGATIVE_INFINITY, '']
      const isNewer = time > said || (time === said && message.messageId > by)
      if (isNewer) profile.traits.set(trait, [time, message.messageId, value])
    }
  }
  if (message.event === 'Order Completed' && time > atMs - WINDOW_MS && time <= atMs) {
    profile.orders += 1
    profile.cents += Math.round(Number(message.properties?.revenue) * 100)
  }
}

function hasTrait(profile: Profile, trait: string): boolean {
  const [, , value] = profile.traits.get(trait) ?? []
  return value !== undefined && value !== null
}

/** Runs of events with gaps of at most 30 minutes. */
function countSessions(timesMs: number[]): number {
  const ordered = [...timesMs].sort((a, b) => a - b)
  return ordered.filter((time, index) => {
    const before = ordered[index - 1]
    return before === undefined || time - before > SESSION_GAP_MS
  }).length
}
