// Keys in memory, so that the hot path never waits for Postgres: an answer is used for 3 s, then refreshed beside the
// requests, and not used beyond 4.5 s while Postgres answers: a revoked key stops within 5 s. While Postgres is away,
// known keys work for ten minutes more and unknown ones get 503. Owns its map and its one timer.
import { hashKey, type KeyRecord, parseKey } from '../domain/keys.ts'
import { errorCodeOf, fail } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { type Credential, prepareCredential } from './credential.ts'

const FRESH_MS = 3000
const USABLE_MS = 4500
const USABLE_IN_OUTAGE_MS = 600_000
const LOOKUP_TIMEOUT_MS = 1000
/** After a failed look-up, how long further ones are not waited for. */
const OUTAGE_MEMORY_MS = 2000
const MAX_LOOKUPS = 64
const MAX_KEYS = 10_000
const TOUCH_EVERY_MS = 60_000

type Entry = { credential: Credential | undefined; checkedAt: number }

export type KeyCache = {
  /** The key's credential: at once while it is known, else after a look-up. Throws `unauthorized` or `unavailable`. */
  find(key: string): Credential | Promise<Credential>
  close(): Promise<void>
}

type KeyStore = {
  findKey: (keyHash: Buffer) => Promise<KeyRecord | undefined>
  touchKeys: (keyIds: number[], usedAt: Date) => Promise<void>
  log: Log
}

export function openKeyCache(store: KeyStore): KeyCache {
  // Apart, so that a flood of guessed keys cannot push out the known ones.
  const known = new Map<string, Entry>()
  const unknown = new Map<string, Entry>()
  const usage = noteUsage(store)
  const source = openSource(store, (key, record) => {
    const credential = record === undefined ? undefined : prepareCredential(record)
    const entry: Entry = { credential, checkedAt: performance.now() }
    if (record !== undefined) usage.add(record.keyId)
    remember(record === undefined ? unknown : known, key, entry)
    ;(record === undefined ? known : unknown).delete(key)
    return entry
  })

  const afterLookUp = async (key: string, stale: Entry | undefined): Promise<Credential> => {
    try {
      return credentialOf(await source.lookUp(key))
    } catch (error) {
      const usable =
        stale?.credential !== undefined && performance.now() - stale.checkedAt < USABLE_IN_OUTAGE_MS
      if (usable && source.isOut()) return credentialOf(stale)
      throw error
    }
  }

  return {
    find(key) {
      const entry = known.get(key) ?? unknown.get(key)
      if (entry === undefined) {
        if (parseKey(key) === undefined) throw fail('unauthorized', malformed(key))
        return afterLookUp(key, undefined)
      }
      const ageMs = performance.now() - entry.checkedAt
      if (ageMs < FRESH_MS) return credentialOf(entry)
      const out = source.isOut()
      if (ageMs >= USABLE_MS && !(out && ageMs < USABLE_IN_OUTAGE_MS)) return afterLookUp(key, entry)
      if (!out) source.lookUp(key).catch(() => {})
      return credentialOf(entry)
    },
    async close() {
      await Promise.allSettled([source.settled(), usage.close()])
    },
  }
}

/** Look-ups in the store: one a key at a time, a bounded number, each with a time limit. `keep` makes the answer. */
function openSource(store: KeyStore, keep: (key: string, record: KeyRecord | undefined) => Entry) {
  const lookups = new Map<string, Promise<Entry>>()
  let failedAt = Number.NEGATIVE_INFINITY
  const isOut = () => performance.now() - failedAt < OUTAGE_MEMORY_MS

  const ask = async (key: string): Promise<Entry> => {
    try {
      return keep(key, await within(store.findKey(hashKey(key)), LOOKUP_TIMEOUT_MS))
    } catch (error) {
      if (!isOut()) store.log.warn({ code: errorCodeOf(error) }, 'a key could not be looked up')
      failedAt = performance.now()
      throw unavailable(error)
    } finally {
      lookups.delete(key)
    }
  }
  return {
    /** True for a moment after a look-up failed: answers may be older than usual. */
    isOut,
    async lookUp(key: string): Promise<Entry> {
      const running = lookups.get(key)
      if (running !== undefined) return running
      if (lookups.size >= MAX_LOOKUPS) throw unavailable()
      const lookup = ask(key)
      lookups.set(key, lookup)
      return lookup
    },
    settled: () => Promise.allSettled(lookups.values()),
  }
}

/** Writes down once a minute which keys were used; for people to look at, so lost when Postgres is away. */
function noteUsage(store: KeyStore): { add(keyId: number): void; close(): Promise<void> } {
  const used = new Set<number>()
  let writing: Promise<void> = Promise.resolve()
  const write = () => {
    if (used.size === 0) return
    const keyIds = [...used]
    used.clear()
    writing = store.touchKeys(keyIds, new Date()).catch(() => {})
  }
  const timer = setInterval(write, TOUCH_EVERY_MS)
  timer.unref()
  return {
    add: (keyId) => used.add(keyId),
    async close() {
      clearInterval(timer)
      write()
      await within(writing, LOOKUP_TIMEOUT_MS).catch(() => {})
    },
  }
}

function credentialOf(entry: Entry): Credential {
  if (entry.credential !== undefined) return entry.credential
  throw fail('unauthorized', 'the key is unknown or was revoked')
}

function malformed(key: string): string {
  if (key === '') return 'the key is empty'
  return key.startsWith('mk_')
    ? 'the key is mistyped: its checksum does not fit'
    : 'this is not a Millrace key'
}

function unavailable(cause?: unknown) {
  return fail('unavailable', 'keys cannot be looked up now', { retryAfterS: 2, cause })
}

/** Bounded: the oldest entry makes room. */
function remember(map: Map<string, Entry>, key: string, entry: Entry): void {
  if (map.size >= MAX_KEYS && !map.has(key)) {
    const [oldest] = map.keys()
    if (oldest !== undefined) map.delete(oldest)
  }
  map.set(key, entry)
}

function within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('timed out')), timeoutMs)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
