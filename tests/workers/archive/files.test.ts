// The default archive: files by day and hour that are whole or not there, and jobs that wait while the disk does not take them.
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { archive } from '../../../queues/pipeline.ts'
import { openFiles } from '../../../workers/archive/files.ts'
import { archivePool } from '../../../workers/archive/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { archiveFiles, archiveRecords } from '../../support/read-archive.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
let dir: string

beforeAll(async () => {
  world = await testWorld()
  dir = join(world.config.dataDir, 'archive')
})
afterAll(() => world?.close())

const HOUR_MS = 3_600_000
const NOON = Date.UTC(2026, 10, 20, 12)
const drained = () =>
  waitFor(() => {
    const { waiting, active, delayed } = world.depth.depthOf(archive.name)
    return world.depth.current().takenAt > Date.now() - 100 && waiting + active + delayed === 0
  })

test('many jobs share a file, by day and hour of receipt, and each is acknowledged after it is written', async () => {
  const pool = await world.run(archivePool)
  const batches = Array.from({ length: 40 }, (_, b) =>
    normalBatch(
      Array.from({ length: 25 }, (_, i) =>
        normalEvent({ userId: `u-${i}`, receivedAt: NOON + (b % 2) * HOUR_MS, properties: `{"n":${i}}` }),
      ),
    ),
  )
  await world.sender.send(archive, batches)
  await waitFor(async () => (await archiveRecords(dir)).length === 1000)
  await drained()
  const files = await archiveFiles(dir)
  expect(files.length).toBeLessThanOrEqual(8)
  expect(new Set(files.map((name) => name.replace(/part-[0-9a-f]{20}/, 'part')))).toEqual(
    new Set(['dt=2026-11-20/hour=12/part.ndjson.gz', 'dt=2026-11-20/hour=13/part.ndjson.gz']),
  )
  const sent = batches.flatMap((batch) => batch.events.map((event) => event.messageId))
  const records = await archiveRecords(dir)
  expect(new Set(records.map((record) => record.rowKey))).toEqual(new Set(sent))
  expect(records[7]?.properties).toEqual({ n: 7 })
  expect(pool.dead).toEqual([])
  await pool.stop()
})

test('the same group again is the same file, and another group with the same job only adds copies', async () => {
  const own = join(world.config.dataDir, 'again')
  const files = await openFiles(own)
  const [first, second] = [normalBatch([normalEvent()]), normalBatch([normalEvent()])]
  await files.put([first])
  await files.put([first])
  expect(await archiveRecords(own)).toHaveLength(1)
  await files.put([first, second])
  const keys = (await archiveRecords(own)).map((record) => record.rowKey)
  expect(keys).toHaveLength(3)
  expect(new Set(keys).size).toBe(2)
})

test('while the disk refuses, jobs are handed back without spending attempts, and then archived', async () => {
  await rm(dir, { recursive: true, force: true })
  const pool = await world.run(archivePool, { concurrency: 4 })
  // A file where the folder of the hour should be: no permission bits, so that it also stops root.
  await writeFile(join(dir, 'dt=2026-11-20'), '')
  const events = Array.from({ length: 10 }, () => normalEvent({ receivedAt: NOON }))
  await world.sender.send(
    archive,
    events.map((event) => normalBatch([event])),
  )
  await waitFor(() => world.depth.depthOf(archive.name).delayed > 0)
  await rm(join(dir, 'dt=2026-11-20'))
  await drained()
  const keys = new Set((await archiveRecords(dir)).map((record) => record.rowKey))
  expect(keys).toEqual(new Set(events.map((event) => event.messageId)))
  expect(world.depth.depthOf(archive.name).failed).toBe(0)
  expect(pool.dead).toEqual([])
  await pool.stop()
})

test('a pool with few slots does not wait for more jobs than it can hold', async () => {
  const pool = await world.run(archivePool, { concurrency: 2 })
  const before = Date.now()
  await world.sender.send(
    archive,
    Array.from({ length: 40 }, () => normalBatch([normalEvent()])),
  )
  await drained()
  // Twenty groups: gathering each for its second would take twenty.
  expect(Date.now() - before).toBeLessThan(10_000)
  await pool.stop()
})

test('what a killed process left unfinished goes after an hour, and readers never see it', async () => {
  const own = join(world.config.dataDir, 'leftovers')
  const aside = join(own, 'unfinished')
  await mkdir(aside, { recursive: true })
  await writeFile(join(aside, 'old'), 'half')
  await writeFile(join(aside, 'new'), 'half')
  const longAgo = new Date(Date.now() - 2 * HOUR_MS)
  await utimes(join(aside, 'old'), longAgo, longAgo)
  await openFiles(own)
  expect(await archiveFiles(own)).toEqual([])
  await expect(rm(join(aside, 'old'))).rejects.toThrow('ENOENT')
  await rm(join(aside, 'new'))
})
