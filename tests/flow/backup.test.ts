// The drill: a backup is taken while events come in, restored into an empty deployment, and that one goes on: what was
// sent before is known again, and nobody gets a number that somebody else had. It is also how people's rows are spread over
// other servers than before.
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readManifest } from '../../cli/backup/manifest.ts'
import { persist } from '../../queues/pipeline.ts'
import { listTables, spreadColumn, stateOf } from '../../store/backup.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { runMillrace } from '../support/cli.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const SENT_BEFORE = 900
let before: World
let after: World
let dir: string
const backup = () => join(dir, 'backup')

const millrace = (world: World, ...args: string[]) =>
  runMillrace(args, {
    DATABASE_URL: world.databaseUrl,
    MILLRACE_SHARD_DATABASE_URLS: world.config.shardDatabaseUrls.join(','),
    REDIS_URL: world.redisUrl,
    MILLRACE_DATA_DIR: world.config.dataDir,
  })

/** Three weeks, many people, odd characters. */
function event(n: number) {
  return normalEvent({
    messageId: `drill-${n}`,
    userId: `u-${n % 100}`,
    time: Date.UTC(2026, 10, 1 + (n % 20), 12),
    properties: JSON.stringify({ n, text: 'tab\t, newline\n, back\\slash, Läufer 🏃' }),
  })
}
const batchesOf = (from: number, to: number) =>
  Array.from({ length: (to - from) / 30 }, (_, i) =>
    normalBatch(Array.from({ length: 30 }, (_, j) => event(from + i * 30 + j))),
  )
const eventsIn = async (world: World) => {
  const rows = await world.onAll((sql) => sql<{ count: number }[]>`select count(*)::int as count from events`)
  return rows.reduce((sum, row) => sum + row.count, 0)
}
const arrived = (world: World, count: number) =>
  waitFor(async () => (await eventsIn(world)) === count, { timeoutMs: 20_000, what: `${count} events` })
async function states(world: World) {
  const tables = await listTables(world.sql)
  return Promise.all(
    tables.map(async (table) => {
      const places = spreadColumn(table) === undefined ? [world.sql] : [...world.servers.all]
      return { name: table.name, ...(await stateOf(places, table.name)) }
    }),
  )
}

describe.each([
  { from: 1, to: 1 },
  { from: 2, to: 1 },
  { from: 1, to: 3 },
])('from $from Postgres servers onto $to', ({ from, to }) => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'millrace-drill-'))
    before = await testWorld({}, { servers: from })
    await before.run(persistPool)
  })
  afterAll(async () => {
    await before?.close()
    await after?.close()
    await rm(dir, { recursive: true, force: true })
  })

  test('a backup of a running deployment is of one instant, a file a table', async () => {
    await before.sender.send(persist, batchesOf(0, SENT_BEFORE))
    await arrived(before, SENT_BEFORE)
    const more = before.sender.send(persist, batchesOf(SENT_BEFORE, SENT_BEFORE + 300))
    const result = await millrace(before, 'backup', backup())
    await more
    expect(result).toMatchObject({ code: 0, err: '' })
    expect(result.out).toMatch(/rows of \d+ tables are in .*backup/)
    const { tables, partitions } = await readManifest(backup())
    expect(await readdir(backup())).toHaveLength(tables.length + 1)
    const rowsOf = (name: string) => tables.find((one) => one.name === name)?.rows
    expect(rowsOf('events')).toBeGreaterThanOrEqual(SENT_BEFORE)
    // The same instant for both: an event and the id that makes it single are committed together.
    expect(rowsOf('message_ids')).toBe(rowsOf('events'))
    expect(partitions.length).toBeGreaterThan(3)
    await arrived(before, SENT_BEFORE + 300)
  })

  test('a second backup into the same folder, or a restore of what is none, is refused', async () => {
    expect(await millrace(before, 'backup', backup())).toMatchObject({
      code: 1,
      err: expect.stringContaining('is not empty'),
    })
    expect((await millrace(before, 'restore', dir, '--yes')).err).toContain('holds no whole backup')
  })

  test('without --yes only the contents are shown, and a deployment that holds data takes none', async () => {
    const shown = await millrace(before, 'restore', backup())
    expect(shown.out).toMatch(/^events +[\d,]+$/m)
    expect(shown.out).toContain('Nothing was restored')
    expect(await millrace(before, 'restore', backup(), '--yes')).toMatchObject({
      code: 1,
      err: expect.stringContaining('the deployment is not empty'),
    })
  })

  test('a damaged file is found, and nothing of the backup is kept', async () => {
    after = await testWorld({}, { servers: to })
    const damaged = join(dir, 'damaged')
    await cp(backup(), damaged, { recursive: true })
    await writeFile(join(damaged, 'event_names.copy.gz'), gzipSync(''))
    const result = await millrace(after, 'restore', damaged, '--yes')
    expect(result.code).toBe(1)
    expect(result.err).toMatch(/event_names\.copy\.gz is not as it was written|violates foreign key/)
    await cp(backup(), damaged, { recursive: true, force: true })
    await writeFile(join(damaged, 'events.copy.gz'), gzipSync('no row\n'.repeat(1000)))
    expect(await millrace(after, 'restore', damaged, '--yes')).toMatchObject({ code: 1 })
    expect(await eventsIn(after)).toBe(0)
  })

  test('restored into an empty deployment, every table has the rows and the content of the backup', async () => {
    const result = await millrace(after, 'restore', backup(), '--yes')
    expect(result).toMatchObject({ code: 0, err: '' })
    const { tables } = await readManifest(backup())
    const found = await states(after)
    expect(found.filter(({ rows }) => rows > 0).length).toBeGreaterThanOrEqual(6)
    expect(found).toEqual(tables.map(({ name, rows, fingerprint }) => ({ name, rows, fingerprint })))
  })

  test('it goes on: what was sent before makes no row, what is new does, and no number is given twice', async () => {
    await after.run(persistPool)
    const restored = await eventsIn(after)
    await after.sender.send(persist, batchesOf(0, SENT_BEFORE))
    await after.sender.send(persist, [normalBatch([normalEvent({ messageId: 'new', userId: 'newcomer' })])])
    await arrived(after, restored + 1)
    const [most] = await before.sql<{ id: number }[]>`select max(profile_id) as id from profiles`
    const [newcomer] = await after.sql<{ id: number }[]>`
    select profile_id as id from profiles where user_id = 'newcomer'`
    expect(newcomer?.id).toBeGreaterThan(most?.id ?? 0)
  })
})
