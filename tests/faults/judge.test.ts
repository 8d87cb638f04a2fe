// The judge of the fault tests is itself tried: each kind of harm, done on purpose, is seen and counted.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { normalEvent } from '../support/factory.ts'
import { DAY, seedPeople } from '../support/seed-people.ts'
import { testWorld, type World } from '../support/world.ts'
import { judgeDeliveries, judgeEvents } from './judge.ts'
import { contentHash, openLedger } from './ledger.ts'

let world: World
beforeAll(async () => {
  world = await testWorld()
})
afterAll(async () => {
  await world?.close()
})

const entryOf = (id: string, price: number) => ({
  id,
  user: 'ada',
  hash: contentHash({
    type: 'track',
    name: 'Viewed',
    user: 'ada',
    time: new Date(DAY).toISOString(),
    content: { price, product: { size: 'L', id: 7 } },
  }),
})

test('lost, doubled, changed and foreign rows are told apart from good ones', async () => {
  const ids = ['good', 'changed', 'foreign', 'doubled', 'unclear']
  await seedPeople(
    world,
    ids.map((messageId) =>
      normalEvent({
        messageId,
        userId: 'ada',
        name: 'Viewed',
        time: DAY,
        properties: '{"product":{"id":7,"size":"L"},"price":1.5}',
      }),
    ),
  )
  await world.sql`
    insert into events (bucket, event_id, source_id, marks, profile_id, time, received_at, message_id, user_id, properties, envelope)
    select bucket, event_id, source_id, marks, profile_id, time + interval '1 hour', received_at, message_id, user_id, properties, envelope
    from events where message_id = 'doubled'`
  const file = join(world.config.dataDir, 'ledger.jsonl')
  const ledger = await openLedger(file)
  await ledger.sending([
    entryOf('good', 1.5),
    entryOf('changed', 1.6),
    entryOf('doubled', 1.5),
    entryOf('lost', 1.5),
    entryOf('unclear', 1.5),
    entryOf('never', 1.5),
  ])
  await ledger.answered(['good', 'changed', 'doubled', 'lost'], 'acked')
  await ledger.answered(['unclear', 'never'], 'unknown')
  await ledger.close()
  expect(await judgeEvents(world.sql, file)).toEqual({
    sent: 6,
    acked: 4,
    unclear: 2,
    // six of them are the seeded people's own, which no ledger knows
    rows: 12,
    lost: 1,
    duplicated: 1,
    phantom: 7,
    // the second row of the doubled one has another time
    altered: 2,
    failed: 0,
    recovered: 1,
  })
  expect(await judgeEvents(world.sql, file, 'lo')).toMatchObject({ sent: 1, acked: 1, lost: 1, rows: 0 })
})

test('messages that came twice, not at all or to somebody else are counted', async () => {
  const outbox = join(world.config.dataDir, 'outbox')
  await mkdir(outbox)
  const write = (channel: string, lines: object[]) =>
    writeFile(join(outbox, `${channel}.jsonl`), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  await write('email', [
    { id: 'one', to: ['ada@shop.example'] },
    { id: 'two', to: ['ada@shop.example'] },
  ])
  await write('push', [{ to: 'token-ada' }, { to: 'token-eve' }])
  const hook = { body: { data: { userId: 'ada' } } }
  await write('webhook', [
    { id: 'd-1', ...hook },
    { id: 'd-1', ...hook },
  ])
  expect(await judgeDeliveries(world.sql, outbox, ['ada'])).toEqual({
    expected: 3,
    received: 4,
    doubled: 1,
    repeated: 1,
    unexpected: 1,
    unknown: 0,
    missing: 0,
    states: {},
  })
})
