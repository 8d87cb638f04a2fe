// Served memberships: which segments a person is in and until when, as Redis answers it with one HGET. A cache of Postgres:
// written by the shard's writer after each pass, filled by readers on a miss, never the truth.
//
// Which of two writes is the newer one is said by numbers of Postgres transactions. Passes over one person follow each other
// under the lock of their shard, and take their number under it: a later pass has a higher one, whatever the clocks of the
// workers say. A reader's number is the last one of which it is sure to have seen the end, so a pass that it has not seen
// wins. A merge is under no such lock; before it commits it makes the person it takes away `unsure` with its own number: who
// writes then must have seen that number's end.
import { createHash } from 'node:crypto'
import { bucketOfProfile } from '../domain/buckets.ts'
import { NEVER } from '../domain/segments/timed.ts'
import {
  decodeServed,
  type Ends,
  encodeEnds,
  encodeInto,
  HEADER_BYTES,
  INLINE_BYTES,
  KIND,
  type ServedValue,
} from '../domain/served-value.ts'
import type { Cache } from './connect.ts'

/**
 * KEYS: the hash of each write. ARGV: version, seen, 1 for a pass, generation, then of each write: field, kind, items, kept items.
 * Kept = memberships that this pass did not evaluate: their ends stay as they are stored.
 *
 * Merged is final. Unsure gives way to who has seen what made it so. Else the newer version wins, and a reader's also when it is the
 * same: it has seen the end of what it meets. What is kept is as old as the entry it is kept from, and its generation says so. An
 * older pass that comes late, after one that kept ends from before it, has ends that nobody has now, and one that is to keep what
 * is not there knows them no more: then the next reader looks. For those who are in no segment as before, which are most, nothing
 * is written unless Redis says otherwise.
 */
const STORE = `
local version, seen, isPass, generation = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
local function items_of(bytes, at)
  local items = {}
  while at <= #bytes do
    local from, number, scale, byte = at, 0, 1, 0
    repeat
      byte = string.byte(bytes, at)
      number = number + (byte % 128) * scale
      scale = scale * 128
      at = at + 1
    until byte < 128
    if number % 2 == 1 then at = at + 5 end
    items[math.floor(number / 2)] = string.sub(bytes, from, at - 1)
  end
  return items
end
for i, key in ipairs(KEYS) do
  local field, kind, items, kept = ARGV[i * 4 + 1], ARGV[i * 4 + 2], ARGV[i * 4 + 3], ARGV[i * 4 + 4]
  local apart = key .. ':' .. field
  local old = redis.call('HGET', key, field)
  local wasApart = old and string.sub(old, 1, 1) == '${KIND.apart}'
  if wasApart then old = redis.call('GET', apart) end
  local was = old and string.sub(old, 1, 1)
  local oldVersion = old and struct.unpack('>I6', old, 2)
  local at, since, write = version, generation, true
  local isNewer = not old or version > oldVersion or (version == oldVersion and not isPass)
  if was == '${KIND.merged}' then write = false
  elseif kind == '${KIND.merged}' then write = true
  elseif kind == '${KIND.unsure}' then write = was ~= kind or version > oldVersion
  elseif was == '${KIND.unsure}' then write = seen >= oldVersion
  elseif not isNewer then
    write = isPass and version < oldVersion and was == '${KIND.partly}'
    if write then kind, items, kept, at = '${KIND.asked}', '', '', oldVersion end
  elseif kind == '${KIND.none}' then write = old and (#old > ${HEADER_BYTES} or was == '${KIND.asked}')
  end
  if write then
    if kind == '${KIND.none}' then kind = '${KIND.whole}' end
    if kept ~= '' then
      kind = '${KIND.partly}'
      local known = {}
      if was == '${KIND.whole}' or was == '${KIND.partly}' then
        known, since = items_of(old, ${HEADER_BYTES + 1}), math.min(since, (struct.unpack('>I4', old, 8)))
      end
      for segment in pairs(items_of(kept, 1)) do
        if known[segment] then items = items .. known[segment] else kind = '${KIND.asked}' end
      end
      if kind == '${KIND.asked}' then items = '' end
    end
    local header = struct.pack('>I6I4', at, since)
    local ttl = 604800 + (version + i) % 86400
    if #items + ${HEADER_BYTES} > ${INLINE_BYTES} then
      redis.call('SET', apart, kind .. header .. items, 'EX', ttl + 86400)
      redis.call('HSET', key, field, '${KIND.apart}' .. header)
    else
      redis.call('HSET', key, field, kind .. header .. items)
      if wasApart then redis.call('DEL', apart) end
    end
    if redis.call('TTL', key) < 518400 then redis.call('EXPIRE', key, ttl) end
  end
end
return 1`
const STORE_SHA = createHash('sha1').update(STORE).digest('hex')

/** So many people a call: others wait for a fraction of a millisecond while it runs. */
const WRITES_A_CALL = 100

export type ServedFound = Extract<ServedValue, { kind: 'members' | 'merged' }>

/**
 * `version` as above; `seen` = the number up to which the writer saw the end of every transaction; `generation` = of the segments
 * (store/segment-generation.ts), as read before anything that it writes of.
 */
export type Stamp = { version: number; seen: number; generation: number }
/** What a pass found of a person: the segments they are in, undefined = the end is that of an earlier pass. */
export type ServedPerson = {
  profileId: number
  mergedInto: number | null
  /** They entered or left a segment. */
  hasChanged: boolean
  /** There is more to say than this pass has evaluated: the next reader looks. */
  isOpen?: boolean
  ends: ReadonlyMap<number, number | undefined>
}

/** Of a pass over these people, after its commit. Rejects when Redis does not take all of it; again is safe. */
export function writeServed(cache: Cache, stamp: Stamp, people: ServedPerson[]): Promise<void> {
  return store(cache, stamp, true, people.map(writeOf))
}

/** What a reader found in Postgres. Loses against every pass that it has not seen. */
export function warmServed(cache: Cache, seen: number, profileId: number, value: ServedFound): Promise<void> {
  const mergedInto = value.kind === 'merged' ? value.into : null
  const ends: Ends = value.kind === 'members' ? value.ends : new Map()
  const generation = value.kind === 'members' ? value.generation : 0
  return store(cache, { version: seen, seen, generation }, false, [
    writeOf({ profileId, mergedInto, hasChanged: true, ends }),
  ])
}

/**
 * Before the transaction `version` commits, which merges these people away: whoever asks for them from now on is sent to
 * Postgres, until somebody who has seen the end of that transaction writes. Rejects when Redis cannot be told.
 */
export function doubtServed(cache: Cache, version: number, profileIds: number[]): Promise<void> {
  const writes = profileIds.map((profileId) => ({ profileId, kind: KIND.unsure, items: NONE, kept: NONE }))
  return store(cache, { version, seen: version - 1, generation: 0 }, false, writes)
}

/** Members or the profile they are merged into; undefined = Postgres has to be asked. Rejects when Redis does not answer. */
export async function readServed(cache: Cache, profileId: number): Promise<ServedFound | undefined> {
  const { key, field } = placeOf(cache, profileId)
  const bytes = await cache.redis.hgetBuffer(key, field)
  let value = bytes === null ? undefined : decodeServed(bytes)
  if (value?.kind === 'apart') {
    const apart = await cache.redis.getBuffer(`${key}:${field}`)
    value = apart === null ? undefined : decodeServed(apart)
  }
  return value?.kind === 'members' || value?.kind === 'merged' ? value : undefined
}

/**
 * About 64 people share a hash, which Redis keeps compact while it is small: those of a bucket whose sequence numbers lie
 * together. The braces keep a bucket on one node of a cluster, so that one call writes many of its people.
 */
export function placeOf(cache: Cache, profileId: number): { key: string; field: string } {
  const bucket = bucketOfProfile(profileId)
  const sequence = Math.floor(profileId / 1024)
  const group = Math.floor(sequence / SEQUENCE_A_HASH)
  return { key: cache.key('members', `{m${bucket}}`, group), field: String(sequence % SEQUENCE_A_HASH) }
}

/** 64 people of each of the 1,024 buckets. */
const SEQUENCE_A_HASH = 64 * 1024

type Write = { profileId: number; kind: string; items: Buffer; kept: Buffer }

const NONE = Buffer.alloc(0)

function writeOf({ profileId, mergedInto, hasChanged, isOpen, ends }: ServedPerson): Write {
  if (mergedInto !== null) return { profileId, kind: KIND.merged, items: encodeInto(mergedInto), kept: NONE }
  if (isOpen === true) return { profileId, kind: KIND.asked, items: NONE, kept: NONE }
  if (ends.size === 0)
    return { profileId, kind: hasChanged ? KIND.whole : KIND.none, items: NONE, kept: NONE }
  const known: Ends = new Map()
  const kept: Ends = new Map()
  for (const [segmentId, endMs] of ends) {
    if (endMs === undefined) kept.set(segmentId, NEVER)
    else known.set(segmentId, endMs)
  }
  return { profileId, kind: KIND.whole, items: encodeEnds(known), kept: encodeEnds(kept) }
}

/** All calls are on their way at once. In a cluster one call goes to one bucket, whose keys lie together. */
async function store(cache: Cache, stamp: Stamp, isPass: boolean, writes: Write[]): Promise<void> {
  const together = cache.redis.isCluster
    ? [...Map.groupBy(writes, ({ profileId }) => bucketOfProfile(profileId)).values()]
    : [writes]
  const calls: Promise<unknown>[] = []
  for (const some of together) {
    for (let from = 0; from < some.length; from += WRITES_A_CALL)
      calls.push(run(cache, stamp, isPass, some.slice(from, from + WRITES_A_CALL)))
  }
  const results = await Promise.allSettled(calls)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

async function run(cache: Cache, stamp: Stamp, isPass: boolean, writes: Write[]): Promise<void> {
  const keys: string[] = []
  const args: (string | number | Buffer)[] = [stamp.version, stamp.seen, isPass ? 1 : 0, stamp.generation]
  for (const { profileId, kind, items, kept } of writes) {
    const { key, field } = placeOf(cache, profileId)
    keys.push(key)
    args.push(field, kind, items, kept)
  }
  try {
    await cache.redis.evalsha(STORE_SHA, keys.length, ...keys, ...args)
  } catch (error) {
    // A server that was started anew does not know the script.
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
    await cache.redis.eval(STORE, keys.length, ...keys, ...args)
  }
}
