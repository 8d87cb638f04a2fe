// Dead letters by the command line: counts by reason, rows, one of them whole, and giving them up.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openQueue } from '../../queues/sender.ts'
import { recordFailedEvents } from '../../store/failed-events.ts'
import { type CliWorld, cliWorld } from '../support/cli.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'

let cli: CliWorld
const SECRET = 'someone@private.example'

beforeAll(async () => {
  cli = await cliWorld()
  const row = (n: number, extra: object) => ({
    failedKey: `persist-m-${n}`,
    stage: 'persist',
    code: 'row_rejected' as const,
    reason: `number ${n}`,
    messageId: `m-${n}`,
    payload: JSON.stringify(
      normalBatch([normalEvent({ messageId: `m-${n}`, userId: SECRET })], `failed-${n}`),
    ),
    ...extra,
  })
  await recordFailedEvents(cli.sql, [row(1, {}), row(2, {}), row(3, { code: 'message_conflict' })])
  const { namespace, producer } = cli.world
  const queue = openQueue(producer, namespace, 'persist')
  await queue.add('persist', normalBatch([normalEvent({})], 'dead-batch'), { jobId: 'pe-dead-batch' })
  await queue.close()
  const key = `{${namespace}-persist}:persist`
  await producer.lrem(`${key}:wait`, 1, 'pe-dead-batch')
  await producer.zadd(`${key}:failed`, Date.now(), 'pe-dead-batch')
  await producer.hset(`${key}:pe-dead-batch`, 'failedReason', 'internal: no luck', 'finishedOn', Date.now())
})
afterAll(() => cli.close())

test('counts by stage and code, the dead job among them', async () => {
  const { code, out } = await cli.millrace('failed')
  expect(code).toBe(0)
  expect(out).toMatch(/persist +row_rejected +2 .*number 1$/m)
  expect(out).toMatch(/persist +message_conflict +1 /m)
  expect(out).toMatch(/persist +internal +1 .*no luck$/m)
  expect(out).toContain('4 in all.')
})

test('lists rows without what they held, narrowed by stage and code', async () => {
  const { out } = await cli.millrace('failed', 'list', '--code', 'row_rejected')
  expect(out.split('\n').filter((line) => line.includes('row_rejected'))).toHaveLength(2)
  expect(out).not.toContain(SECRET)
  const json = await cli.millrace('failed', 'list', '--json', '--limit', '1')
  expect(JSON.parse(json.out)).toMatchObject({ failedId: 1, stage: 'persist', messageId: 'm-1' })
})

test('shows one; what it held only when asked for', async () => {
  const plain = await cli.millrace('failed', 'show', '1')
  expect(plain.out).toMatch(/^reason +number 1$/m)
  expect(plain.out).not.toContain(SECRET)
  expect((await cli.millrace('failed', 'show', '1', '--payload')).out).toContain(SECRET)
  expect(await cli.millrace('failed', 'show', '99')).toMatchObject({ code: 1 })
  expect((await cli.millrace('failed', 'show', 'x')).err).toContain('--id must be a whole number')
  expect((await cli.millrace('failed', 'eat')).err).toContain('failed does not know eat')
})

test('discarding only counts without --yes, and is audited with it', async () => {
  const dry = await cli.millrace('failed', 'discard', '--code', 'row_rejected')
  expect(dry.out).toContain('2 would be given up for good. Nothing was done')
  expect((await cli.millrace('failed', 'discard', '--code', 'row_rejected', '--yes')).out).toBe(
    '2 given up\n',
  )
  const audit = await cli.sql`select actor, details from audit_log where action = 'failed-event.discard'`
  expect(audit).toEqual([{ actor: 'cli', details: { discarded: 2, stage: null, code: 'row_rejected' } }])
})

test('a discarded dead job leaves its queue, and does not come back', async () => {
  await cli.millrace('failed', 'discard', '--yes')
  const { namespace, producer } = cli.world
  expect(await producer.zcard(`{${namespace}-persist}:persist:failed`)).toBe(0)
  expect((await cli.millrace('failed')).out).toBe('Nothing has failed.\n')
})
