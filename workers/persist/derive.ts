// What follows from the rows that were really new: first and last seen, traits, sessions. In the group's transaction.
import { type Landing, mergeSessions } from '../../domain/sessions.ts'
import { needsEarlier, type TraitCall, withCalls } from '../../domain/trait-since.ts'
import type { TraitState } from '../../domain/traits.ts'
import type { NormalEvent } from '../../schema/event.ts'
import type { EventRow } from '../../store/events.ts'
import { StartAgain } from '../../store/joint-transaction.ts'
import {
  deleteSessions,
  extendLatestSessions,
  readNearSessions,
  readTraitCalls,
  readTraits,
  type SessionPiece,
  touchProfiles,
  upsertSessions,
  writeTraits,
} from '../../store/profiles-write.ts'
import type { Transaction } from '../../store/sql.ts'

/** Profiles, traits and sessions out of the rows that are new; touching a profile first locks it for the rest. */
export async function derive(tx: Transaction, fresh: EventRow[]): Promise<void> {
  const seen = new Map<number, { profileId: number; first: number; last: number }>()
  const identifies = new Map<number, TraitCall[]>()
  const identifyIds = new Set<number>()
  const points = new Map<number, SessionPiece[]>()
  for (const { event, eventId, profileId } of fresh) {
    const range = seen.get(profileId)
    if (range === undefined) seen.set(profileId, { profileId, first: event.time, last: event.time })
    else {
      range.first = Math.min(range.first, event.time)
      range.last = Math.max(range.last, event.time)
    }
    if (event.type === 'identify' && event.traits !== undefined) {
      identifyIds.add(eventId)
      const call = { traits: event.traits, timeMs: event.time, messageId: event.messageId }
      const known = identifies.get(profileId)
      if (known === undefined) identifies.set(profileId, [call])
      else known.push(call)
    }
    const piece: SessionPiece = {
      profileId,
      startedAt: event.time,
      endedAt: event.time,
      events: 1,
      firstMessageId: event.messageId,
      landing: {},
    }
    const list = points.get(profileId)
    if (list === undefined) points.set(profileId, [piece])
    else list.push(piece)
  }
  if (!(await touchProfiles(tx, [...seen.values()])))
    throw new StartAgain('a profile of this group is not on its server yet')
  await applyTraits(tx, identifies, [...identifyIds])
  await applySessions(tx, points, new Map(fresh.map(({ event }) => [event.messageId, event])))
}

const NO_TRAITS: TraitState = { traits: {}, times: {} }

/** Only of those with a call that came out of its order the others are read. */
async function applyTraits(
  tx: Transaction,
  identifies: Map<number, TraitCall[]>,
  eventIds: number[],
): Promise<void> {
  if (identifies.size === 0) return
  const stored = await readTraits(tx, [...identifies.keys()])
  const late = [...identifies].flatMap(([profileId, calls]) =>
    needsEarlier(stored.get(profileId) ?? NO_TRAITS, calls) ? [profileId] : [],
  )
  const earlier = late.length === 0 ? undefined : await readTraitCalls(tx, late, eventIds)
  const merged = new Map<number, TraitState>()
  for (const [profileId, calls] of identifies)
    merged.set(profileId, withCalls(stored.get(profileId) ?? NO_TRAITS, calls, earlier?.get(profileId)))
  await writeTraits(tx, merged)
}

async function applySessions(
  tx: Transaction,
  points: Map<number, SessionPiece[]>,
  events: Map<string, NormalEvent>,
): Promise<void> {
  const single: SessionPiece[] = []
  const several: SessionPiece[] = []
  for (const [profileId, list] of points) {
    const pieces = mergeSessions(list).map((session) => ({ ...session, profileId }))
    if (pieces.length === 1) single.push(...pieces)
    else several.push(...pieces)
  }
  const extended = await extendLatestSessions(tx, single)
  const rest = [...several, ...single.filter((piece) => !extended.has(piece.profileId))]
  // Only a session that begins or changes its beginning needs to know what its first event says of the visit.
  for (const piece of rest) piece.landing = landingOf(events.get(piece.firstMessageId))
  await mergeIntoStored(tx, rest)
}

async function mergeIntoStored(tx: Transaction, pieces: SessionPiece[]): Promise<void> {
  const stored = await readNearSessions(tx, pieces)
  const byProfile = Map.groupBy([...stored, ...pieces], (piece) => piece.profileId)
  const written: SessionPiece[] = []
  for (const [profileId, list] of byProfile) {
    for (const session of mergeSessions(list)) written.push({ ...session, profileId })
  }
  const starts = new Set(written.map((session) => `${session.profileId} ${session.startedAt}`))
  await deleteSessions(
    tx,
    stored.filter((session) => !starts.has(`${session.profileId} ${session.startedAt}`)),
  )
  await upsertSessions(tx, written)
}

function landingOf(event: NormalEvent | undefined): Landing {
  if (event === undefined) return {}
  const envelope: { millrace?: { landing?: Landing } } = JSON.parse(event.envelope)
  return envelope.millrace?.landing ?? {}
}
