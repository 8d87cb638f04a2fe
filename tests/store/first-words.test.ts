// A connection that is reset while it is still being set up: the caller hears of it, the process lives, and the next
// connection knows all types.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectSql, type Sql } from '../../store/sql.ts'
import { postgresReplies } from '../faults/framing.ts'
import { type FaultProxy, startProxy } from '../faults/proxy.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let proxy: FaultProxy
let sql: Sql
beforeAll(async () => {
  world = await testWorld()
  const url = new URL(world.databaseUrl)
  proxy = await startProxy({ targetPort: Number(url.port), replies: postgresReplies })
  url.port = String(proxy.port)
  sql = connectSql({ url: url.toString(), namespace: 'millrace', max: 1, applicationName: 'first-words' })
})
afterAll(async () => {
  await sql?.end({ timeout: 5 })
  await proxy?.close()
  await world?.close()
})

test('a reset while the driver asks for the types of arrays ends no process, and arrays are arrays after it', async () => {
  // The first rows of a connection are those of the driver's own question.
  const hits = proxy.plan({ on: 'reply', matches: /^T$/, act: 'swallow' })
  await expect(sql`select 1`).rejects.toThrow()
  expect(hits()).toBe(1)
  const [row] = await sql<{ names: string[] }[]>`select array['a', 'b'] as names`
  expect(row?.names).toEqual(['a', 'b'])
})
