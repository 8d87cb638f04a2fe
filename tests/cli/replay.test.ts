// What failed is counted, and sent again only when asked to.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openQueue } from '../../queues/sender.ts'
import { recordFailedEvents } from '../../store/failed-events.ts'
import { type CliWorld, cliWorld } from '../support/cli.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'

let cli: CliWorld
beforeAll(async () => {
  cli = await cliWorld()
  const row = (n: number, extra: object) => ({
    failedKey: `persist-m-${n}`,
    stage: 'persist',
    code: 'row_rejected' as const,
    reason: `number ${n}`,
    payload: JSON.stringify(normalBatch([normalEvent({ messageId: `m-${n}` })], `replay-${n}`)),
    ...extra,
  })
  await recordFailedEvents(cli.sql, [
    row(1, {}),
    row(2, {}),
    row(3, { code: 'message_conflict' }),
    row(4, { stage: 'ingest', code: 'invalid_event', payload: '{"v":1}' }),
  ])
})
afterAll(() => cli.close())

const waiting = async (name: string) => {
  const queue = openQueue(cli.world.producer, cli.world.namespace, name, true)
  const jobs = await queue.getJobs(['waiting'])
  await queue.close()
  return jobs.map((job) => job.id).sort()
}

test('without --yes it only counts, by stage and code', async () => {
  const { code, out } = await cli.millrace('replay')
  expect(code).toBe(0)
  expect(out).toMatch(/persist +row_rejected +2 .*number 1$/m)
  expect(out).toMatch(/persist +message_conflict +1 /m)
  expect(out).toContain('4 would be sent again. Nothing was sent')
  expect(await waiting('persist')).toEqual([])
})

test('those that match are sent again under new job ids and are open no more', async () => {
  expect(await cli.millrace('replay', '--code', 'row_rejected', '--limit', '1', '--yes')).toEqual({
    code: 0,
    out: '1 sent again\n',
    err: '',
  })
  await cli.millrace('replay', '--stage', 'persist', '--since', '1h', '--yes')
  expect(await waiting('persist')).toEqual(['pe-replay-1-r1', 'pe-replay-2-r2', 'pe-replay-3-r3'])
  const open = await cli.sql`select failed_id from failed_events where resolved_at is null`
  expect(open).toEqual([{ failed_id: 4 }])
})

test('what no queue takes stays open and is told', async () => {
  const { code, out, err } = await cli.millrace('replay', '--id', '4', '--yes')
  expect({ code, out }).toEqual({ code: 1, out: '0 sent again\n' })
  expect(err).toContain('does not fit the queue ingest')
  expect(await cli.millrace('replay', '--stage', 'persist')).toMatchObject({
    out: 'Nothing that failed matches.\n',
  })
})

test('a dead job is found in its failed set, sent again, and leaves it', async () => {
  const { Worker, UnrecoverableError } = await import('bullmq')
  const { namespace, producer, consumer } = cli.world
  const queue = openQueue(producer, namespace, 'archive')
  await queue.add('archive', normalBatch([normalEvent({ userId: 'u' })], 'dead-batch'), {
    jobId: 'ar-dead-batch',
  })
  const worker = new Worker(
    'archive',
    async () => Promise.reject(new UnrecoverableError('internal: no luck')),
    {
      connection: consumer,
      prefix: `{${namespace}-archive}`,
    },
  )
  await waitFor(async () => (await queue.getFailedCount()) === 1)
  await worker.close()
  expect((await cli.millrace('replay', '--stage', 'archive')).out).toContain('internal: no luck')
  expect(await cli.millrace('replay', '--stage', 'archive', '--yes')).toMatchObject({
    code: 0,
    out: '1 sent again\n',
  })
  expect(await waiting('archive')).toEqual([expect.stringMatching(/^ar-dead-batch-r\d+$/)])
  expect(await queue.getFailedCount()).toBe(0)
  expect(await cli.millrace('replay', '--stage', 'archive')).toMatchObject({
    out: 'Nothing that failed matches.\n',
  })
  await queue.close()
})
