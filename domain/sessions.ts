// Sessions: maximal runs of a profile's events with gaps of at most 30 minutes. Because a session is an interval and a
// new event can only lengthen, join or start one, merging intervals gives the same as recomputing from all events, in
// any order of arrival. Pure; times in ms.

export const SESSION_GAP_MS = 30 * 60 * 1000

export type Landing = {
  device?: string
  locale?: string
  campaign?: string
  page?: string
  country?: string
}

export type Session = {
  startedAt: number
  endedAt: number
  events: number
  firstMessageId: string
  /** What its first event says of the visit. */
  landing: Landing
}

/** Sorted, disjoint sessions out of any mix of sessions and single events (a session with one event). */
export function mergeSessions(pieces: Session[]): Session[] {
  const ordered = [...pieces].sort(
    (a, b) => a.startedAt - b.startedAt || (a.firstMessageId < b.firstMessageId ? -1 : 1),
  )
  const merged: Session[] = []
  for (const piece of ordered) {
    const last = merged.at(-1)
    if (last !== undefined && piece.startedAt - last.endedAt <= SESSION_GAP_MS) {
      last.endedAt = Math.max(last.endedAt, piece.endedAt)
      last.events += piece.events
    } else merged.push({ ...piece })
  }
  return merged
}
