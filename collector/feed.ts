// Samples verdicts for the event debugger: at most a few dozen of each kind a second and source, the rest only counted.
// Called for every event; must never slow it, so it writes beside the requests and forgets what Redis does not take.
import type { Cache } from '../cache/connect.ts'
import { recordVerdicts, type Verdict } from '../cache/live-feed.ts'
import type { JsonObject } from '../domain/validate-json.ts'
import type { Clock } from '../runtime/clock.ts'

const SHOWN_A_SECOND = 25
const WRITE_EVERY_MS = 250

export type Refused = { code: string; field: string; reason: string }
export type FeedRecorder = {
  accepted(sourceId: number, events: readonly JsonObject[]): void
  /** `event` is whatever was sent; undefined when the whole request was refused. */
  refused(sourceId: number, event: unknown, refused: Refused): void
  close(): Promise<void>
}

type Window = {
  second: number
  shown: Record<Verdict['verdict'], number>
  skipped: Record<Verdict['verdict'], number>
}

export function openFeedRecorder(cache: Cache, clock: Clock): FeedRecorder {
  const windows = new Map<number, Window>()
  let waiting = new Map<number, Verdict[]>()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined

  const write = () => {
    timer = undefined
    if (writing !== undefined) return later()
    const verdicts = waiting
    waiting = new Map()
    writing = recordVerdicts(cache, verdicts)
      .catch(() => {})
      .finally(() => {
        writing = undefined
      })
  }
  const later = () => {
    timer ??= setTimeout(write, WRITE_EVERY_MS)
  }

  /** How many of `events` may be shown now; the others are counted. */
  const room = (
    sourceId: number,
    kind: Verdict['verdict'],
    events: number,
    at: number,
  ): Window | undefined => {
    const second = Math.floor(at / 1000)
    let window = windows.get(sourceId)
    if (window === undefined) {
      window = { second, shown: { accepted: 0, refused: 0 }, skipped: { accepted: 0, refused: 0 } }
      windows.set(sourceId, window)
    }
    if (window.second !== second) {
      window.second = second
      window.shown.accepted = 0
      window.shown.refused = 0
    }
    if (window.shown[kind] < SHOWN_A_SECOND) return window
    window.skipped[kind] += events
    return undefined
  }

  const show = (sourceId: number, window: Window, verdict: Verdict) => {
    const kind = verdict.verdict
    window.shown[kind] += 1
    const skipped = window.skipped[kind]
    window.skipped[kind] = 0
    const list = waiting.get(sourceId)
    const entry = skipped === 0 ? verdict : { ...verdict, skipped }
    if (list === undefined) waiting.set(sourceId, [entry])
    else list.push(entry)
    later()
  }

  return {
    accepted(sourceId, events) {
      const at = clock.now()
      const window = room(sourceId, 'accepted', events.length, at)
      if (window === undefined) return
      const shown = Math.min(events.length, SHOWN_A_SECOND - window.shown.accepted)
      for (let i = 0; i < shown; i++) {
        show(sourceId, window, { at, verdict: 'accepted', ...describe(events[i]) })
      }
      window.skipped.accepted += events.length - shown
    },
    refused(sourceId, event, { code, field, reason }) {
      const at = clock.now()
      const window = room(sourceId, 'refused', 1, at)
      if (window === undefined) return
      show(sourceId, window, { at, verdict: 'refused', code, field, reason, ...describe(event) })
    },
    async close() {
      clearTimeout(timer)
      await writing
      if (waiting.size > 0) await recordVerdicts(cache, waiting).catch(() => {})
    },
  }
}

/** What may be seen of an event; nothing of it is trusted, it may just have been refused. */
function describe(event: unknown): Pick<Verdict, 'type' | 'name' | 'messageId' | 'user'> {
  if (typeof event !== 'object' || event === null) return {}
  const fields = new Map<string, unknown>(Object.entries(event))
  const type = textOf(fields.get('type'), 40)
  const name = textOf(fields.get('event') ?? fields.get('name'), 200)
  const messageId = textOf(fields.get('messageId'), 256)
  const user = textOf(fields.get('userId') ?? fields.get('anonymousId'), 256)
  return {
    ...(type === undefined ? {} : { type }),
    ...(name === undefined ? {} : { name }),
    ...(messageId === undefined ? {} : { messageId }),
    ...(user === undefined ? {} : { user: maskId(user) }),
  }
}

function textOf(value: unknown, maxChars: number): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, maxChars).toWellFormed() : undefined
}

/** `anna@shop.example` → `an…le`: never the local part of an address, never a whole id. */
export function maskId(id: string): string {
  return id.length < 8 ? `${id.slice(0, 1)}…` : `${id.slice(0, 2)}…${id.slice(-2)}`
}
