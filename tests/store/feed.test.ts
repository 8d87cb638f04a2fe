// The order that the feed reads in: with writers on two servers whose transactions commit in any order, or not at all, and
// while the number of shards changes, readers that are cut off and go on meet every change once, each person's in order.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodePosition, encodePosition, type Position, START } from '../../domain/feed-position.ts'
import {
  countMembersAt,
  isOfThisDeployment,
  newestPosition,
  type RecordedChange,
  readChangesAfter,
} from '../../store/feed.ts'
import { addPeople, addSegment, changeOf, writeAll, writeAsPass } from '../support/feed-writer.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let people: number[]
beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  people = await addPeople(world.servers, 400)
  await addSegment(world.servers, 'one')
})
afterAll(() => world?.close())

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
// Another one every run; a failure names it.
const seed = Number(process.env.MILLRACE_TEST_SEED ?? Date.now() % 2 ** 31)
let state = seed
const random = (below: number) => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

class Rolled extends Error {}

/** Passes of random people under random numbers of shards, of which some end in a rollback. */
async function write(passes: number, server: number): Promise<void> {
  const own = people.filter((id) => world.servers.of(id) === world.servers.all[server])
  for (let n = 0; n < passes; n++) {
    const some = new Set(Array.from({ length: 1 + random(30) }, () => own[random(own.length)] ?? 0))
    const version = n + 1
    const changes = [...some].map((id) => changeOf(id, { op: random(2) === 0 ? 'enter' : 'exit', version }))
    const rollBack = random(8) === 0
    await writeAsPass(world.servers, changes, {
      shards: [4, 16, 64, 256][random(4)] ?? 4,
      async beforeCommit() {
        await pause(random(15))
        if (rollBack) throw new Rolled()
      },
    }).catch((error: unknown) => {
      if (!(error instanceof Rolled)) throw error
    })
  }
}

/** Reads on from what it wrote down, a few of each lock at a time, until the writers are done and all is read. */
async function follow(isDone: () => boolean): Promise<RecordedChange[]> {
  const read: RecordedChange[] = []
  let text = encodePosition(START)
  for (;;) {
    const wasDone = isDone()
    const slice = await readChangesAfter(world.servers, decodePosition(text) as Position, 1 + random(4))
    read.push(...slice.changes)
    text = encodePosition(slice.position)
    if (wasDone && slice.isWhole) return read
    await pause(random(4))
  }
}

test('every committed change is met once, and each person’s in their order', {
  timeout: 60_000,
}, async () => {
  let writing = 12
  const writers = Array.from({ length: writing }, (_, i) => write(25, i % 2).finally(() => writing--))
  const readers = await Promise.all(Array.from({ length: 4 }, () => follow(() => writing === 0)))
  await Promise.all(writers)
  const stored = await world.onAll(
    (sql) => sql<{ id: number }[]>`select change_id as id from membership_changes`,
  )
  expect(stored.length, `seed ${seed}`).toBeGreaterThan(500)
  const expected = stored.map(({ id }) => id).sort((a, b) => a - b)
  for (const read of readers) {
    expect(
      read.map(({ id }) => id).sort((a, b) => a - b),
      `seed ${seed}`,
    ).toEqual(expected)
    const last = new Map<number, number>()
    for (const { id, profileId } of read) {
      expect(id, `seed ${seed}`).toBeGreaterThan(last.get(profileId) ?? 0)
      last.set(profileId, id)
    }
  }
})

test('a change whose number was given before others committed is not passed over', async () => {
  const [early = 0] = people
  const late = people.find((id) => world.servers.of(id) === world.servers.of(early) && id % 1024 >= 200) ?? 0
  const from = await newestPosition(world.servers)
  const written = Promise.withResolvers<void>()
  const commit = Promise.withResolvers<void>()
  const slow = writeAsPass(world.servers, [changeOf(early)], {
    shards: 128,
    beforeCommit() {
      written.resolve()
      return commit.promise
    },
  })
  await written.promise
  expect((await writeAsPass(world.servers, [changeOf(late)], { shards: 128 })).length).toBe(1)
  const first = await readChangesAfter(world.servers, from, 10)
  expect(first.changes.map((one) => one.profileId)).toEqual([late])
  commit.resolve()
  await slow
  const second = await readChangesAfter(world.servers, first.position, 10)
  expect(second.changes.map((one) => one.profileId)).toEqual([early])
  expect(second.changes[0]?.id).toBeLessThan(first.changes[0]?.id ?? 0)
})

test('the newest position is after all there is, and one from elsewhere is known as such', async () => {
  const newest = await newestPosition(world.servers)
  expect((await readChangesAfter(world.servers, newest, 5)).changes).toEqual([])
  expect(await isOfThisDeployment(world.servers, newest)).toBe(true)
  expect(await isOfThisDeployment(world.servers, START)).toBe(true)
  expect(
    await isOfThisDeployment(
      world.servers,
      newest.map((id) => id + 1_000_000),
    ),
  ).toBe(false)
})

test('members are counted as of a position: with the changes after it they stay true while writers go on', async () => {
  const segmentId = await addSegment(world.servers, 'counted')
  const own = (version: number) =>
    people.map((id) => changeOf(id, { segmentId, op: version % 2 === 1 ? 'enter' : 'exit', version }))
  const writing = (async () => {
    for (let version = 1; version <= 3; version++)
      for (let at = 0; at < people.length; at += 50)
        await writeAll(world.servers, own(version).slice(at, at + 50))
  })()
  await pause(30)
  const { members, position } = await countMembersAt(world.servers)
  await writing
  let size = members.get(segmentId) ?? 0
  for (let at = position; ; ) {
    const read = await readChangesAfter(world.servers, at, 50)
    for (const change of read.changes.filter((one) => one.segmentId === segmentId))
      size += change.op === 'enter' ? 1 : -1
    at = read.position
    if (read.isWhole) break
  }
  expect(size).toBe(people.length)
})
