// Loading into BigQuery with Google's own client against a local server: each event once, whatever is repeated or broken off.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { archive } from '../../../queues/pipeline.ts'
import { withLoadLock } from '../../../store/archive.ts'
import { archivePool } from '../../../workers/archive/pool.ts'
import { type BigQueryServer, startBigQueryServer } from '../../support/bigquery-server.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { archiveRecords } from '../../support/read-archive.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
let bigquery: BigQueryServer
let staging: string

beforeAll(async () => {
  bigquery = await startBigQueryServer('test-project')
  world = await testWorld({
    bigqueryProject: 'test-project',
    bigqueryDataset: 'shop',
    bigqueryEndpoint: bigquery.url,
    bigqueryLoadMs: 200,
  })
  staging = join(world.config.dataDir, 'archive-staging')
  await world.run(archivePool)
})
afterAll(async () => {
  await world?.close()
  await bigquery?.stop()
})

const keysThere = () => bigquery.rowsOf('events').map((row) => String(row.rowKey))
const staged = async () => (await readdir(staging)).filter((name) => name.startsWith('staged_'))
const allLoaded = () =>
  waitFor(async () => {
    const { waiting, active, delayed } = world.depth.depthOf(archive.name)
    return (
      world.depth.current().takenAt > Date.now() - 100 &&
      waiting + active + delayed === 0 &&
      (await staged()).length === 0 &&
      bigquery.tableNames().length === 1
    )
  })

test('every event is one row of a table by day, clustered by event and user', async () => {
  const events = Array.from({ length: 300 }, (_, i) =>
    normalEvent({
      userId: `u-${i}`,
      time: Date.UTC(2026, 10, 1 + (i % 20)),
      properties: `{"n":${i}}`,
      envelope: '{"context":{"locale":"sv-SE"},"channel":"web"}',
      value: '1999',
      currency: 'USD',
    }),
  )
  await world.sender.send(
    archive,
    [0, 100, 200].map((from) => normalBatch(events.slice(from, from + 100))),
  )
  await waitFor(() => keysThere().length === 300)
  await allLoaded()
  expect(new Set(keysThere())).toEqual(new Set(events.map((event) => event.messageId)))
  expect(bigquery.rowsOf('events').find((row) => row.userId === 'u-7')).toMatchObject({
    event: 'Product Viewed',
    timestamp: '2026-11-08T00:00:00.000Z',
    value: '1999',
    currency: 'USD',
    properties: { n: 7 },
    context: { locale: 'sv-SE' },
  })
  expect(bigquery.metadataOf('events')).toMatchObject({
    timePartitioning: { type: 'DAY', field: 'timestamp' },
    clustering: { fields: ['event', 'userId'] },
  })
})

test('the same event loaded again, also with another time of receipt, is one row: the earlier', async () => {
  const event = normalEvent({ userId: 'twice', messageId: 'twice', receivedAt: Date.UTC(2026, 10, 21, 12) })
  const resent = { ...event, receivedAt: event.receivedAt + 3_600_000, time: event.time + 3_600_000 }
  await world.sender.send(archive, [normalBatch([resent, event])])
  await waitFor(() => keysThere().includes('twice'))
  await allLoaded()
  await world.sender.send(archive, [normalBatch([resent]), normalBatch([event])])
  await allLoaded()
  const rows = bigquery.rowsOf('events').filter((row) => row.rowKey === 'twice')
  expect(rows.map((row) => row.receivedAt)).toEqual(['2026-11-21T12:00:00.000Z'])
})

test.each([
  ['the upload', (method: string, path: string) => method === 'POST' && path === '/upload/jobs'],
  ['the merge', (method: string, path: string) => method === 'POST' && path === '/jobs'],
  ['the removal of the staging table', (method: string) => method === 'DELETE'],
])(
  'a pass that breaks off at %s is run again from its files, and adds each event once',
  async (_, matches) => {
    const rowsBefore = bigquery.rowsOf('events').length
    bigquery.failOnce(matches)
    await world.sender.send(archive, [normalBatch([normalEvent(), normalEvent()])])
    await waitFor(() => bigquery.faultIsSpent())
    await allLoaded()
    expect(bigquery.rowsOf('events').length).toBe(rowsBefore + 2)
  },
)

test('a line that BigQuery refuses is left out, its file is kept, and its neighbours are loaded', async () => {
  const bad = normalEvent({ messageId: 'bad', properties: '{"text":"UNREADABLE"}' })
  const good = Array.from({ length: 6 }, () => normalEvent())
  // Held back so that they are staged as several files of one load.
  const release = Promise.withResolvers<void>()
  const held = waitFor(async () =>
    withLoadLock(world.sql, async () => {
      await release.promise
      return true
    }),
  )
  for (const event of [...good.slice(0, 3), bad, ...good.slice(3)]) {
    const before = (await staged()).length
    await world.sender.send(archive, [normalBatch([event])])
    await waitFor(async () => (await staged()).length > before)
  }
  release.resolve()
  await held
  await allLoaded()
  expect(keysThere()).toEqual(expect.arrayContaining(good.map((event) => event.messageId)))
  expect(keysThere()).not.toContain('bad')
  const refused = await archiveRecords(join(staging, 'refused'))
  expect(refused.map((record) => record.rowKey)).toEqual(['bad'])
})

test('job ids follow from the files, and are not used twice', () => {
  expect(bigquery.jobs.length).toBeGreaterThan(8)
  for (const { id, kind } of bigquery.jobs) {
    expect(id).toMatch(kind === 'load' ? /^millrace_load_[0-9a-f]{24}/ : /^millrace_merge_[0-9a-f]{24}/)
  }
  const merges = bigquery.jobs.filter(({ kind, error }) => kind === 'query' && error === undefined)
  expect(new Set(merges.map(({ id }) => id)).size).toBe(merges.length)
})
