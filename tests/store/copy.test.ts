// A COPY whose connection Postgres ends in the midst: the caller hears of it, the process lives, and the next one works.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { copyEvents, type EventRow, ensureEventPartitions, weekOf } from '../../store/events.ts'
import { connectSql, inTransaction, type Sql } from '../../store/sql.ts'
import { normalEvent } from '../support/factory.ts'
import { testWorld, type World } from '../support/world.ts'

const ROWS = 20_000
let world: World
let sql: Sql

beforeAll(async () => {
  world = await testWorld()
  sql = connectSql({ url: world.databaseUrl, namespace: 'millrace', max: 1, applicationName: 'copy' })
  await ensureEventPartitions(sql, [{ range: 0, week: weekOf(normalEvent().time) }])
})
afterAll(async () => {
  await sql?.end({ timeout: 5 })
  await world?.close()
})

const rows: EventRow[] = Array.from({ length: ROWS }, (_, n) => ({
  event: normalEvent({ messageId: `copied-${n}`, properties: JSON.stringify({ text: 'x'.repeat(500) }) }),
  id: '00000000-0000-0000-0000-000000000000',
  eventId: 1,
  bucket: 1,
  profileId: 1,
}))

test.each([0, 1, 2, 5, 10, 20, 40])(
  'a connection that ends %i ms into a COPY fails that COPY alone',
  async (afterMs) => {
    let pid = 0
    const copying = inTransaction(sql, async (tx) => {
      const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`
      pid = row?.pid ?? 0
      setTimeout(() => void world.sql`select pg_terminate_backend(${pid}, 5000)`.catch(() => {}), afterMs)
      await copyEvents(tx, rows)
      await new Promise((resolve) => setTimeout(resolve, 2000))
      await tx`select 1`
    })
    await expect(copying).rejects.toThrow()
    expect(await inTransaction(sql, (tx) => tx`select 7 as n`.then(([row]) => row?.n))).toBe(7)
  },
)
