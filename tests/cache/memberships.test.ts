// Served memberships in a real Redis: how they lie there, and which of two writes wins.
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import {
  doubtServed,
  placeOf,
  readServed,
  type ServedPerson,
  warmServed,
  writeServed,
} from '../../cache/memberships.ts'
import { NEVER } from '../../domain/segments/timed.ts'
import { serversOf } from '../../queues/connection.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
/** A person of their own a test. */
let anna = 1024

const GENERATION = 5
const members = (ends: Map<number, number>, generation = GENERATION) => ({
  ...{ kind: 'members' as const, ends, generation },
})
const day = (n: number) => Date.UTC(2027, 0, n)
const person = (ends: Record<number, number | undefined>, profileId = anna): ServedPerson => ({
  profileId,
  mergedInto: null,
  hasChanged: true,
  ends: new Map(Object.entries(ends).map(([segmentId, end]) => [Number(segmentId), end])),
})
/** A pass of this number that has seen all before it. */
const pass = (version: number, ...people: ServedPerson[]) =>
  writeServed(world.cache, { version, seen: version - 1, generation: GENERATION }, people)
const served = async () => {
  const value = await readServed(world.cache, anna)
  return value?.kind === 'members' ? Object.fromEntries(value.ends) : value
}

beforeAll(async () => {
  world = await testWorld()
})
afterAll(() => world?.close())
beforeEach(() => {
  anna += 1024
})

test('64 people of a bucket share a hash that Redis keeps as a listpack', async () => {
  const people: ServedPerson[] = Array.from({ length: 64 }, (_, i) => ({
    profileId: (3 * 65_536 + i * 1024 + (i % 7)) * 1024 + 583,
    mergedInto: null,
    hasChanged: true,
    ends: new Map(Array.from({ length: 8 }, (_, n) => [n + 1, day(n + 1)])),
  }))
  await pass(900, ...people)
  const keys = new Set(people.map(({ profileId }) => placeOf(world.cache, profileId).key))
  expect(keys.size).toBe(1)
  const [key = ''] = keys
  expect(key).toContain('{m583}')
  expect(await world.cache.redis.hlen(key)).toBe(64)
  expect(await world.cache.redis.object('ENCODING', key)).toBe('listpack')
  expect(await world.cache.redis.ttl(key)).toBeGreaterThan(6 * 86_400)
  const other = placeOf(world.cache, 4 * 65_536 * 1024 + 583).key
  expect(keys.has(other)).toBe(false)
})

test('the newer pass wins, and one that comes late changes nothing', async () => {
  await pass(10, person({ 1: day(1) }))
  await pass(12, person({ 2: day(2) }))
  await pass(11, person({ 3: day(3) }))
  expect(await served()).toEqual({ 2: day(2) })
  // Also the same again, as when the answer of a command got lost.
  await pass(12, person({ 4: NEVER }))
  expect(await served()).toEqual({ 2: day(2) })
})

test('for somebody who is in none as before nothing is written, unless Redis says otherwise', async () => {
  const as = { ...person({}), hasChanged: false }
  await pass(10, as)
  expect(await served()).toBeUndefined()
  await pass(11, person({ 1: NEVER }))
  // As after a pass that died between its commit and Redis, and was run again.
  await pass(13, as)
  expect(await served()).toEqual({})
  await pass(12, person({ 1: NEVER }))
  expect(await served()).toEqual({})
})

test('who left is written down as in none, so that a reader who looked before does not bring it back', async () => {
  await pass(20, person({}))
  await warmServed(world.cache, 19, anna, members(new Map([[1, NEVER]])))
  expect(await served()).toEqual({})
})

test('ends of segments that a pass did not evaluate stay as they were', async () => {
  await pass(10, person({ 1: day(1), 2: NEVER, 300: day(3) }))
  await pass(11, person({ 1: undefined, 300: undefined, 5: day(5) }))
  expect(await served()).toEqual({ 1: day(1), 300: day(3), 5: day(5) })
})

test('a pass that is to keep an end that Redis does not know leaves it to the next reader', async () => {
  await pass(10, person({ 1: day(1) }))
  await pass(12, person({ 1: undefined, 9: undefined, 5: day(5) }))
  expect(await served()).toBeUndefined()
  // Readers that looked before that pass, and an older pass, do not know either.
  await warmServed(world.cache, 11, anna, members(new Map([[1, day(1)]])))
  await pass(11, person({ 1: day(1) }))
  expect(await served()).toBeUndefined()
  await warmServed(world.cache, 12, anna, members(new Map([[9, day(9)]])))
  expect(await served()).toEqual({ 9: day(9) })
  await pass(14, person({ 8: undefined }))
  await writeServed(world.cache, { version: 15, seen: 3, generation: GENERATION }, [person({ 8: day(8) })])
  expect(await served()).toEqual({ 8: day(8) })
})

test('a late pass whose ends a newer one kept without it leaves doubt, which a reader who saw both ends', async () => {
  await pass(10, person({ 1: day(1), 2: day(2) }))
  await pass(12, person({ 1: undefined, 2: day(22) }))
  await pass(11, person({ 1: day(11), 2: undefined }))
  expect(await served()).toBeUndefined()
  const truth = members(new Map([[1, day(11)]]))
  await warmServed(world.cache, 11, anna, truth)
  expect(await served()).toBeUndefined()
  await warmServed(world.cache, 12, anna, truth)
  expect(await served()).toEqual({ 1: day(11) })
})

test('what a reader found loses against a pass that it has not seen', async () => {
  const old = members(new Map([[1, day(1)]]))
  await pass(20, person({ 2: NEVER }))
  await warmServed(world.cache, 19, anna, old)
  expect(await served()).toEqual({ 2: NEVER })
  anna += 1024
  await warmServed(world.cache, 19, anna, members(new Map()))
  expect(await served()).toEqual({})
  await pass(20, person({ 2: NEVER }))
  expect(await served()).toEqual({ 2: NEVER })
})

test('in doubt nobody is believed who has not seen the merge end, however new their number is', async () => {
  await pass(30, person({ 1: NEVER }))
  await doubtServed(world.cache, 31, [anna])
  expect(await served()).toBeUndefined()
  const before = members(new Map([[1, NEVER]]))
  await warmServed(world.cache, 30, anna, before)
  await writeServed(world.cache, { version: 33, seen: 30, generation: GENERATION }, [person({ 1: NEVER })])
  expect(await served()).toBeUndefined()
  await warmServed(world.cache, 30, anna, { kind: 'merged', into: 77 })
  expect(await served()).toEqual({ kind: 'merged', into: 77 })
  // Final: a pass that began before the merge comes last of all.
  await pass(34, person({ 1: NEVER }))
  await doubtServed(world.cache, 35, [anna])
  expect(await served()).toEqual({ kind: 'merged', into: 77 })
})

test('doubt comes also over a newer pass, and ends when the merge came to nothing', async () => {
  await pass(40, person({ 1: NEVER }))
  await doubtServed(world.cache, 39, [anna])
  expect(await served()).toBeUndefined()
  await pass(41, person({ 2: NEVER }))
  expect(await served()).toEqual({ 2: NEVER })
})

test('somebody in many segments has a key of their own for as long', async () => {
  const { key, field } = placeOf(world.cache, anna)
  const many = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [i * 7 + 1, day(i + 1)]))
  await pass(50, person(many))
  expect(await served()).toEqual(many)
  expect(await world.cache.redis.object('ENCODING', key)).toBe('listpack')
  await pass(49, person({ 1: NEVER }))
  await pass(51, person({ ...Object.fromEntries(Object.keys(many).map((id) => [id, undefined])), 2: NEVER }))
  expect(await served()).toEqual({ ...many, 2: NEVER })
  await pass(52, person({ 2: NEVER }))
  expect(await served()).toEqual({ 2: NEVER })
  expect(await world.cache.redis.exists(`${key}:${field}`)).toBe(0)
})

test('a key of its own that is gone is asked of Postgres, and may be written again', async () => {
  const { key, field } = placeOf(world.cache, anna)
  const many = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [i + 1, day(i + 1)]))
  await pass(60, person(many))
  await world.cache.redis.del(`${key}:${field}`)
  expect(await served()).toBeUndefined()
  await warmServed(world.cache, 59, anna, members(new Map([[1, day(1)]])))
  expect(await served()).toEqual({ 1: day(1) })
})

test('a Redis that forgot its scripts is told again, and a large pass goes in several calls', async () => {
  for (const server of serversOf(world.producer)) await server.script('FLUSH')
  const people = Array.from({ length: 250 }, (_, i) =>
    person({ 1: day(1) }, (90_000 + i) * 1024 + (i % 1024)),
  )
  await pass(70, ...people)
  const read = await Promise.all(people.map(({ profileId }) => readServed(world.cache, profileId)))
  expect(read.filter((value) => value?.kind === 'members')).toHaveLength(250)
})

test('a pass over many people is one round trip', async (context) => {
  const { redis } = world.cache
  if (!(redis instanceof Redis)) return context.skip()
  await pass(80, person({ 1: day(1) }))
  const people = Array.from({ length: 1000 }, (_, i) =>
    person({ 1: day(1) }, (95_000 + i) * 1024 + (i % 1024)),
  )
  const writes = vi.spyOn(redis.stream, 'write')
  try {
    await pass(81, ...people)
    expect(writes).toHaveBeenCalledTimes(1)
  } finally {
    writes.mockRestore()
  }
})

test('somebody in two segments that end takes less than 50 bytes of Redis', async () => {
  const people = Array.from({ length: 64 }, (_, i) =>
    person({ 3: day(1), 9: day(2) }, (70 * 65_536 + i * 1024) * 1024 + 5),
  )
  await pass(90, ...people)
  const { key } = placeOf(world.cache, people[0]?.profileId ?? 0)
  expect(await world.cache.redis.hlen(key)).toBe(64)
  const bytes = Number(await world.cache.redis.memory('USAGE', key, 'SAMPLES', 0))
  expect(bytes / 64).toBeLessThan(50)
  expect(bytes / 64).toBeGreaterThan(23)
})

test('what was kept is of the generation it was worked out by, and what is evaluated anew of the newest', async () => {
  const by = (generation: number, version: number, ends: Record<number, number | undefined>) =>
    writeServed(world.cache, { version, seen: version - 1, generation }, [person(ends)])
  const generation = async () => {
    const value = await readServed(world.cache, anna)
    return value?.kind === 'members' ? value.generation : undefined
  }
  await by(6, 10, { 1: day(1), 2: day(2) })
  await by(8, 11, { 1: undefined, 2: day(3) })
  expect([await served(), await generation()]).toEqual([{ 1: day(1), 2: day(3) }, 6])
  await by(9, 12, { 1: undefined, 2: undefined })
  expect(await generation()).toBe(6)
  await by(9, 13, { 1: day(4), 2: day(4) })
  expect(await generation()).toBe(9)
  // A reader who has seen the pass may correct it, one who has not may not.
  await by(9, 15, { 1: undefined })
  await warmServed(world.cache, 14, anna, members(new Map([[2, NEVER]]), 10))
  expect(await generation()).toBe(9)
  await warmServed(world.cache, 15, anna, members(new Map([[2, NEVER]]), 10))
  expect([await served(), await generation()]).toEqual([{ 2: NEVER }, 10])
})

test('a pass that knows that there is more to say leaves it to the next reader', async () => {
  await pass(10, person({ 1: day(1) }))
  await pass(11, { ...person({ 1: day(1) }), isOpen: true })
  expect(await served()).toBeUndefined()
  await warmServed(world.cache, 11, anna, members(new Map([[1, day(1)]])))
  expect(await served()).toEqual({ 1: day(1) })
  await pass(12, { ...person({}), hasChanged: false, isOpen: true })
  await pass(13, { ...person({}), hasChanged: false })
  expect(await served()).toEqual({})
})
