// The whole flow: Segment's own Node SDK, the local stack as `npm start` runs it, and a mail in the outbox at its end.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Analytics } from '@segment/analytics-node'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { DEMO_SEGMENT, type DemoNote, setUpDemo } from '../../cli/demo/setup.ts'
import { createDatabase, dropDatabase } from '../../cli/local/postgres.ts'
import { type Stack, startStack } from '../../cli/local/stack.ts'
import { readConfig } from '../../runtime/config.ts'
import { readSegment } from '../../store/segments.ts'
import { connectSql, type Sql } from '../../store/sql.ts'
import { databaseUrlFor } from '../support/servers.ts'
import { waitFor } from '../support/wait-for.ts'

const database = `flow_${process.pid}`
let dataDir = ''
let stack: Stack
let sql: Sql
let note: DemoNote

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'millrace-flow-'))
  await createDatabase(inject('postgresUrl'), database)
  const databaseUrl = databaseUrlFor(inject('postgresUrl'), database)
  const config = readConfig(
    {},
    {
      databaseUrl,
      redisUrl: inject('redisUrl'),
      namespace: `flow${process.pid}`,
      dataDir,
      httpPort: 0,
      dashboardPort: 0,
      exporterPort: 0,
      outboxPort: 0,
      shards: 4,
    },
  )
  stack = await startStack({ config, env: process.env, say: () => {} })
  sql = connectSql({ url: databaseUrl, namespace: config.namespace, max: 2, applicationName: 'flow-test' })
  note = await setUpDemo(sql, dataDir, Date.now())
})

afterAll(async () => {
  await sql?.end({ timeout: 5 })
  await stack?.stop()
  await dropDatabase(inject('postgresUrl'), database)
  await rm(dataDir, { recursive: true, force: true })
})

test('events of the Segment Node SDK become rows, a membership, and one delivered email, push and webhook', async () => {
  const analytics = new Analytics({
    writeKey: note.writeKey,
    host: stack.addresses().http ?? '',
    flushInterval: 50,
  })
  analytics.identify({
    userId: 'user-42',
    anonymousId: 'device-42',
    traits: { email: 'ada@shop.example', firstName: 'Ada', pushToken: 'token-42' },
  })
  analytics.page({ anonymousId: 'device-42', name: 'Home', properties: { url: 'https://shop.example/' } })
  for (let order = 1; order <= 6; order++) {
    analytics.track({
      userId: 'user-42',
      event: 'Order Completed',
      properties: { order_id: `o-${order}`, revenue: 199.99, currency: 'USD' },
    })
  }
  await analytics.closeAndFlush()

  const mail = await waitFor(() => stack.sinks.email.log.recent()[0], {
    timeoutMs: 30_000,
    what: 'the email',
  })
  expect(mail).toMatchObject({ to: ['ada@shop.example'], subject: 'Thank you, Ada' })
  await waitFor(() => stack.sinks.push.log.count() === 1 && stack.sinks.webhook.log.count() === 1)

  const rows = await sql`select distinct profile_id, count(*) over () as total from events`
  expect(rows).toHaveLength(1)
  expect(Number(rows[0]?.total)).toBe(8)
  const segment = await readSegment(sql, DEMO_SEGMENT)
  const members = await sql`select 1 from memberships where segment_id = ${segment?.segmentId ?? 0}`
  expect(members).toHaveLength(1)
  const deliveries = await sql`select channel, state from deliveries order by channel`
  expect(deliveries.map((row) => [row.channel, row.state])).toEqual([
    ['email', 'sent'],
    ['push', 'sent'],
    ['webhook', 'sent'],
  ])
})
