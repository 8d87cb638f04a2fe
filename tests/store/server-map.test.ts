// Which server has which people: stored once, and never taken for something else by addresses that changed.
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { BUCKET_RANGES } from '../../domain/buckets.ts'
import { ensureServerMap } from '../../store/server-map.ts'
import { connectServers, endAll } from '../../store/servers.ts'
import type { Sql } from '../../store/sql.ts'
import { databaseUrlFor } from '../support/servers.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let other: World
beforeAll(async () => {
  world = await testWorld({}, { servers: 3 })
  other = await testWorld({}, { servers: 2 })
})
afterAll(async () => {
  await world?.close()
  await other?.close()
})

async function mapWith(urls: string[]): Promise<number[]> {
  const [databaseUrl = '', ...shardDatabaseUrls] = urls
  const all = connectServers({
    urls: { databaseUrl, shardDatabaseUrls },
    namespace: 'millrace',
    max: 1,
    applicationName: 'test-map',
  })
  try {
    return await ensureServerMap(all)
  } finally {
    await endAll(all, 2)
  }
}
const urlsOf = ({ config }: World) => [config.databaseUrl, ...config.shardDatabaseUrls]

test('every bucket range is on one server, and each server has an equal share of them', async () => {
  const map = await mapWith(urlsOf(world))
  expect(map).toHaveLength(BUCKET_RANGES)
  expect(map).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2])
  expect(await mapWith(urlsOf(world))).toEqual(map)
})

test('no two servers give a change the same number', async () => {
  const given = await world.onAll(
    (sql) => sql<{ number: number }[]>`
      select nextval('membership_change_numbers') as number from generate_series(1, 50)`,
  )
  expect(new Set(given.map((row) => row.number)).size).toBe(150)
})

test('fewer or more servers than people are on are refused, with what to do', async () => {
  const [home = '', second = '', third = ''] = urlsOf(world)
  await expect(mapWith([home])).rejects.toThrow(
    /people's rows are on 3 Postgres server\(s\).*backup.*restore/,
  )
  await expect(mapWith([home, second])).rejects.toThrow('are on 3')
  await expect(
    mapWith([home, second, third, databaseUrlFor(inject('postgresUrl'), 'postgres')]),
  ).rejects.toThrow('are on 3')
})

test('servers in another order, or of another deployment, are refused', async () => {
  const [home = '', second = '', third = ''] = urlsOf(world)
  await expect(mapWith([home, third, second])).rejects.toThrow('is server 2 of this deployment')
  await expect(mapWith([home, second, second])).rejects.toThrow('is server 1 of this deployment')
  const stranger = urlsOf(other)[1] ?? ''
  await expect(mapWith([home, second, stranger])).rejects.toThrow("is another deployment's")
})

test('a deployment that has people on one server stays on it', async () => {
  const alone = await testWorld()
  const people = (sql: Sql) => sql`
    insert into profiles (bucket, profile_id, first_id, first_seen, last_seen) values (1, 1025, 'ann', now(), now())`
  await people(alone.sql)
  await expect(mapWith([alone.databaseUrl, urlsOf(other)[1] ?? ''])).rejects.toThrow(
    'are on 1 Postgres server',
  )
  expect(await mapWith([alone.databaseUrl])).toEqual(Array(BUCKET_RANGES).fill(0))
  await alone.close()
})
