// The live segments as readers of memberships remember them, and what else they have to know of Postgres to believe Redis: looked
// at anew when the token in Redis is another one than theirs (cache/segment-token.ts), with every read while Redis is away, and
// in any case once a second. So a change of segments that told Redis nothing, and a write that Redis missed, show within that.
import { transactionOf } from '../cache/segment-token.ts'
import { askedBySegment } from '../domain/segments/references.ts'
import { singleFlight } from '../runtime/single-flight.ts'
import { generationSeen } from '../store/segment-generation.ts'
import { isSwapping } from '../store/segment-swaps.ts'
import { type LiveSegment, liveSegments } from '../store/segments.ts'
import type { Sql } from '../store/sql.ts'

export type ServedSegment = LiveSegment & {
  /** What Redis says of it by an earlier generation is not believed: its rule was another one, or that of one it refers to. */
  since: number
  /** A draft was published, or taken back, and not everybody whom that moves has been evaluated. */
  isSwapping: boolean
}
export type ServedSegments = {
  /** Or newer. */
  generation: number
  /** Of nobody anything is believed that Redis says by an earlier generation: it missed something, or a swap moves people. */
  since: number
  byId: ReadonlyMap<number, ServedSegment>
  all: readonly ServedSegment[]
}

/** What is remembered for longer is looked at again before it is used, and from half of it on beside. */
const FRESH_MS = 1000

/** `token` = what Redis said after the reader was asked; undefined when it did not answer. Rejects while Postgres is away. */
export function createServedSegments(home: Sql): (token: string | undefined) => Promise<ServedSegments> {
  let known: ServedSegments = { generation: 0, since: 0, byId: new Map(), all: [] }
  let isRead = false
  let current: string | undefined
  let lookedAtMs = Number.NEGATIVE_INFINITY

  const look = singleFlight(async (token: string) => {
    const startedMs = performance.now()
    // The generation first: segments that are read after it are of it, or newer.
    const { generation, servedSince, isOver } = await generationSeen(home, transactionOf(token))
    const next =
      isRead && generation === known.generation
        ? known
        : servedOf(await liveSegments(home), generation, servedSince)
    // One that began later was quicker.
    if (startedMs < lookedAtMs) return known
    known = next
    isRead = true
    // While the change that the token announces is still to be committed, it may be missing here.
    if (token !== '') current = isOver ? token : undefined
    lookedAtMs = startedMs
    return known
  })

  return async (token) => {
    if (token === undefined || token !== current) return look(token ?? '')
    const ageMs = performance.now() - lookedAtMs
    if (ageMs < FRESH_MS / 2) return known
    // Postgres does not answer: then nothing is committed either, and Redis goes on answering by what is known.
    const again = look(token).catch(() => {
      lookedAtMs = performance.now()
      return known
    })
    return ageMs < FRESH_MS ? known : again
  }
}

function servedOf(live: LiveSegment[], generation: number, servedSince: number): ServedSegments {
  const all = [...askedBySegment(live)].map(([segment, asked]) => ({
    ...segment,
    since: Math.max(...asked.map((one) => one.liveSince)),
    isSwapping: asked.some(isSwapping),
  }))
  const since = Math.max(servedSince, ...all.map((one) => (one.isSwapping ? one.since : 0)))
  return { generation, since, all, byId: new Map(all.map((one) => [one.segmentId, one])) }
}
