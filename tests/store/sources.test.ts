// Sources and keys in Postgres.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hashKey } from '../../domain/keys.ts'
import { createKey, findKey, issueKey, listKeys, touchKeys } from '../../store/keys.ts'
import { createSource, ensureSource, listSources } from '../../store/sources.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await testWorld()
})
afterAll(() => world?.close())

test('twenty that ask for one source at once get the same one', async () => {
  const ids = await Promise.all(Array.from({ length: 20 }, () => ensureSource(world.sql, 'web')))
  expect(new Set(ids).size).toBe(1)
  expect((await listSources(world.sql)).filter((source) => source.name === 'web')).toHaveLength(1)
})

test('a key is found by its hash with what its source accepts, and noted as used', async () => {
  const since = new Date('1997-01-01T00:00:00Z')
  const sourceId = await createSource(world.sql, { name: 'history', acceptEventsSince: since })
  const { key, keyId } = await issueKey(
    world.sql,
    { kind: 'pub', sourceId, allowedIps: ['10.0.0.0/8'], rateLimitPerSecond: 5 },
    randomBytes(16),
  )
  expect(await findKey(world.sql, hashKey(key))).toEqual({
    keyId,
    kind: 'pub',
    sourceId,
    acceptEventsSince: since.getTime(),
    allowedOrigins: [],
    allowedIps: ['10.0.0.0/8'],
    rateLimitPerSecond: 5,
  })
  const later = new Date('2026-01-02T00:00:00Z')
  await touchKeys(world.sql, [keyId], later)
  await touchKeys(world.sql, [keyId], new Date('2026-01-01T00:00:00Z'))
  expect((await listKeys(world.sql)).find((row) => row.keyId === keyId)?.lastUsedAt).toEqual(later)
})

test('a write key needs a source and a secret key has none', async () => {
  const key = { keyHash: randomBytes(32), lastFour: 'abcd' }
  await expect(createKey(world.sql, { kind: 'pub', ...key })).rejects.toMatchObject({ code: '23514' })
  const sourceId = await ensureSource(world.sql, 'web')
  await expect(createKey(world.sql, { kind: 'sec', sourceId, ...key })).rejects.toMatchObject({
    code: '23514',
  })
})
