// Transactions over several Postgres servers: all of them or none, whenever the process or a server dies.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { isInfrastructureError } from '../../runtime/errors.ts'
import {
  forgetDecisions,
  inJointTransaction,
  StartAgain,
  settleLeftBehind,
} from '../../store/joint-transaction.ts'
import { spreadOver } from '../../store/servers.ts'
import { connectSql, type Transaction } from '../../store/sql.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

// With three servers range 0 is at home, range 8 on the second, range 15 on the third.
const RANGES = [0, 8, 15]
let world: World

beforeAll(async () => {
  world = await testWorld({}, { servers: 3 })
  for (const sql of world.servers.all) await sql`create table notes (id text primary key)`
})
afterAll(() => world?.close())
beforeEach(async () => {
  for (const sql of world.servers.all) await sql`truncate notes`
})

const notes = () => world.onAll((sql) => sql<{ id: string }[]>`select id from notes`)
const preparedNames = async () => {
  const rows = await world.sql<{ gid: string }[]>`
    select gid from pg_prepared_xacts where starts_with(gid, 'millrace_') and database like ${`${databaseName()}%`}`
  return rows.map((row) => row.gid)
}
const databaseName = () => new URL(world.databaseUrl).pathname.slice(1)
const note = (tx: Transaction, id: string) => tx`insert into notes (id) values (${id})`

/** Writes a note on every server; `before` runs when all are written and nothing is committed. */
function noteEverywhere(id: string, before: (home: Transaction) => Promise<unknown> = async () => {}) {
  return inJointTransaction(
    world.servers,
    async () => {},
    (home, join) =>
      join(
        () => RANGES,
        async (joint) => {
          await joint.each(
            RANGES,
            (range) => range,
            (tx) => note(tx, id),
          )
          await before(home)
        },
      ),
  )
}

test('what is written on all servers is there on all of them, and nothing stays prepared', async () => {
  await noteEverywhere('one')
  expect(await notes()).toHaveLength(3)
  expect(await preparedNames()).toEqual([])
})

test('an error anywhere leaves nothing anywhere', async () => {
  await expect(noteEverywhere('one', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  const [, second] = world.servers.all
  await second?.unsafe(`insert into notes values ('taken')`)
  await expect(noteEverywhere('taken')).rejects.toThrow('notes_pkey')
  expect(await notes()).toEqual([{ id: 'taken' }])
  expect(await preparedNames()).toEqual([])
})

test('a connection that is lost on one server takes the others back', async () => {
  const [, , third] = world.servers.all
  const lost = noteEverywhere('one', async () => {
    await third?.unsafe(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and state = 'idle in transaction'`,
    )
  })
  await expect(lost).rejects.toThrow()
  await waitFor(
    async () => (await preparedNames()).length === 0 || (await settleLeftBehind(world.servers, 0)) > 0,
  )
  expect(await notes()).toEqual([])
})

test('home’s own connection lost before its commit takes the others back', async () => {
  const lost = noteEverywhere('one', async (home) => {
    const [row] = await home<{ pid: number }[]>`select pg_backend_pid() as pid`
    await world.sql`select pg_terminate_backend(${row?.pid ?? 0})`
  })
  await expect(lost).rejects.toThrow()
  await settleLeftBehind(world.servers, 0)
  expect(await preparedNames()).toEqual([])
  expect(await notes()).toEqual([])
})

/** As a process leaves it that dies after its others have prepared; with `decided` after home has committed too. */
async function leaveBehind(id: string, decided: boolean): Promise<string> {
  const gid = `millrace_${world.servers.namespace}-${id}`
  for (const [number, sql] of world.servers.all.entries()) {
    if (number === 0) continue
    await sql.begin(async (tx) => {
      await tx`insert into notes (id) values (${id})`
      tx.prepare(`${gid}_${number}`)
    })
  }
  if (decided) {
    await world.sql.begin(async (tx) => {
      await tx`insert into notes (id) values (${id})`
      await tx`insert into commit_decisions (gid, decision) values (${gid}, 'commit')`
    })
  }
  return gid
}

test('of a process that died between the phases the rest is carried out when home had committed, else taken back', async () => {
  await leaveBehind('decided', true)
  await leaveBehind('open', false)
  // It may only be slow: for a while it is left alone.
  expect(await settleLeftBehind(world.servers)).toBe(0)
  expect(await preparedNames()).toHaveLength(4)
  expect(await settleLeftBehind(world.servers, 0)).toBe(2)
  expect(await preparedNames()).toEqual([])
  expect(await notes()).toEqual([{ id: 'decided' }, { id: 'decided' }, { id: 'decided' }])
})

test('a process that was given up meanwhile cannot commit any more, and starts again', async () => {
  let isFirst = true
  const slow = noteEverywhere('slow', async () => {
    if (!isFirst) return
    isFirst = false
    // What settling it would write, for whatever name it has.
    await world.sql`
      create or replace function give_up() returns trigger language plpgsql as
      'begin return null; end'`
    await world.sql`
      create trigger give_up before insert on commit_decisions for each row when (new.decision = 'commit')
      execute function give_up()`
  })
  const thrown: unknown = await slow.then(
    () => 'nothing',
    (error: unknown) => error,
  )
  expect(thrown).toBeInstanceOf(StartAgain)
  await world.sql`drop trigger give_up on commit_decisions`
  await settleLeftBehind(world.servers, 0)
  expect(await notes()).toEqual([])
  await noteEverywhere('slow')
  expect(await notes()).toHaveLength(3)
})

test('settling waits for a home that is about to commit, and then does what it said', async () => {
  const gid = await leaveBehind('late', false)
  const { promise: written, resolve: tellWritten } = Promise.withResolvers<void>()
  const committing = world.sql.begin(async (tx) => {
    await tx`insert into notes (id) values ('late')`
    await tx`insert into commit_decisions (gid, decision) values (${gid}, 'commit')`
    tellWritten()
    await new Promise((resolve) => setTimeout(resolve, 300))
  })
  await written
  expect(await settleLeftBehind(world.servers, 0)).toBe(1)
  await committing
  expect(await notes()).toHaveLength(3)
})

test('decisions are forgotten when nobody can ask for them', async () => {
  await world.sql`update commit_decisions set decided_at = now() - interval '2 hours'`
  const gid = await leaveBehind('old', false)
  await world.sql`
    insert into commit_decisions (gid, decision, decided_at) values (${gid}, 'abort', now() - interval '2 hours')`
  await forgetDecisions(world.servers)
  expect(await world.sql`select gid from commit_decisions`).toEqual([{ gid }])
  await settleLeftBehind(world.servers, 0)
  expect(await preparedNames()).toEqual([])
})

test('a transaction of another deployment in the same database is none of ours', async () => {
  const [, second] = world.servers.all
  const other = `millrace_${world.servers.namespace}_eu-1_1`
  await second?.begin(async (tx) => {
    await tx`insert into notes (id) values ('theirs')`
    tx.prepare(other)
  })
  expect(await settleLeftBehind(world.servers, 0)).toBe(0)
  expect(await preparedNames()).toEqual([other])
  await second?.unsafe(`rollback prepared '${other}'`)
})

test('a server that is away keeps nothing locked on the others, and is an outage, not bad data', async () => {
  await leaveBehind('half', true)
  const [home, second, third] = world.servers.all
  if (home === undefined || second === undefined || third === undefined) throw new Error('three servers')
  const away = connectSql({
    url: 'postgres://nobody@127.0.0.1:1/none',
    namespace: 'none',
    max: 1,
    applicationName: 'test',
  })
  const ranges = Array.from({ length: 16 }, (_, range) => world.servers.numberOfRange(range))
  const servers = spreadOver([home, second, away], world.servers.namespace, ranges)
  await expect(settleLeftBehind(servers, 0)).rejects.toSatisfy(isInfrastructureError)
  expect(await second`select id from notes`).toEqual([{ id: 'half' }])
  const startedAt = performance.now()
  const lost = inJointTransaction(
    servers,
    async () => {},
    (tx, join) =>
      join(
        () => RANGES,
        (joint) =>
          joint.each(
            RANGES,
            (range) => range,
            (on) => note(on, `x${tx.length}`),
          ),
      ),
  )
  await expect(lost).rejects.toSatisfy(isInfrastructureError)
  // Home's own connection is not the one that was lost: it is free at once.
  await home`insert into notes (id) values ('x')`
  expect(performance.now() - startedAt).toBeLessThan(4_000)
  expect(await settleLeftBehind(world.servers, 0)).toBe(1)
  await away.end({ timeout: 1 })
})
