// A transaction whose connection Postgres ends: the caller hears of it, the process lives, and nothing of it reaches
// the connection that takes its place.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectSql, inTransaction, type Sql } from '../../store/sql.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let sql: Sql

beforeAll(async () => {
  world = await testWorld()
  // One connection: whoever comes next is on the one that was lost.
  sql = connectSql({ url: world.databaseUrl, namespace: 'millrace', max: 1, applicationName: 'lost' })
  await sql`create table kept (n integer)`
})
afterAll(async () => {
  await sql?.end({ timeout: 5 })
  await world?.close()
})

const endBackend = (pid: number) => world.sql`select pg_terminate_backend(${pid}, 5000)`
const kept = async () => (await world.sql`select n from kept order by n`).map((row) => row.n)

test.each([0, 1, 20, 200])(
  'what goes on %i ms after the connection was lost is refused and runs nowhere else',
  async (pauseMs) => {
    await world.sql`truncate kept`
    const zombie = Promise.withResolvers<unknown>()
    const lost = inTransaction(sql, async (tx) => {
      await tx`insert into kept values (1)`
      const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`
      await endBackend(row?.pid ?? 0)
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
      try {
        await tx`insert into kept values (2)`
        zombie.resolve('it ran')
      } catch (error) {
        zombie.resolve(error)
        throw error
      }
    })
    const neighbour = lost.catch(() =>
      inTransaction(sql, async (tx) => {
        await tx`insert into kept values (3)`
        await new Promise((resolve) => setTimeout(resolve, 300))
        await tx`insert into kept values (4)`
      }),
    )
    await expect(lost).rejects.toThrow()
    await neighbour
    expect(await zombie.promise).toBeInstanceOf(Error)
    expect(await kept()).toEqual([3, 4])
  },
)

test('many statements at once on a connection that ends are all rejected, and the next connection works', async () => {
  for (let round = 0; round < 20; round++) {
    const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
    const ended = endBackend(row?.pid ?? 0)
    const some = Array.from({ length: 20 }, () => sql`select 1 as one`.catch(() => undefined))
    await Promise.all([ended, ...some])
    const started = Date.now()
    await sql`select 1`.catch(() => sql`select 1`)
    expect(Date.now() - started).toBeLessThan(5_000)
  }
})

test('an error of the statement alone rolls back and leaves the connection usable', async () => {
  await world.sql`truncate kept`
  const failing = inTransaction(sql, async (tx) => {
    await tx`insert into kept values (1)`
    await tx`select 1 / 0`
  })
  await expect(failing).rejects.toMatchObject({ code: '22012' })
  expect(await inTransaction(sql, (tx) => tx`select 7 as n`.then(([row]) => row?.n))).toBe(7)
  expect(await kept()).toEqual([])
})
