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

export function openFeedRecorder(cache: Cache, clock: Clock): FeedRecorder {
  const sampler = createSampler()
  const writer = openWriter(cache)
  return {
    accepted(sourceId, events) {
      const at = clock.now()
      const { shown, skipped } = sampler.admit(sourceId, 'accepted', events.length, at)
      for (let i = 0; i < shown; i++) {
        const before = i === 0 && skipped > 0 ? { skipped } : {}
        writer.add(sourceId, { at, verdict: 'accepted', ...describe(events[i]), ...before })
      }
    },
    refused(sourceId, event, { code, field, reason }) {
      const at = clock.now()
      const { shown, skipped } = sampler.admit(sourceId, 'refused', 1, at)
      if (shown === 0) return
      const before = skipped > 0 ? { skipped } : {}
      writer.add(sourceId, { at, verdict: 'refused', code, field, reason, ...describe(event), ...before })
    },
    close: () => writer.close(),
  }
}

type Kind = Verdict['verdict']
type Sampler = {
  /** How many of `events` may be shown now, and how many were left out since the last one shown. */
  admit(sourceId: number, kind: Kind, events: number, at: number): { shown: number; skipped: number }
}

const NONE = { shown: 0, skipped: 0 }

function createSampler(): Sampler {
  const windows = new Map<string, { second: number; shown: number; skipped: number }>()
  return {
    admit(sourceId, kind, events, at) {
      const name = `${sourceId} ${kind}`
      const second = Math.floor(at / 1000)
      let window = windows.get(name)
      if (window === undefined) {
        window = { second, shown: 0, skipped: 0 }
        windows.set(name, window)
      }
      if (window.second !== second) {
        window.second = second
        window.shown = 0
      }
      const shown = Math.min(events, SHOWN_A_SECOND - window.shown)
      if (shown <= 0) {
        window.skipped += events
        return NONE
      }
      const { skipped } = window
      window.shown += shown
      window.skipped = events - shown
      return { shown, skipped }
    },
  }
}

/** Writes what was added a few times a second; one write at a time, so that a slow Redis gathers instead of piling up. */
function openWriter(cache: Cache): { add(sourceId: number, verdict: Verdict): void; close(): Promise<void> } {
  let waiting = new Map<number, Verdict[]>()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined

  const later = () => {
    timer ??= setTimeout(write, WRITE_EVERY_MS)
  }
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
  return {
    add(sourceId, verdict) {
      const list = waiting.get(sourceId)
      if (list === undefined) waiting.set(sourceId, [verdict])
      else list.push(verdict)
      later()
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
