// The smoke test on a real deployment with two Postgres servers: what was sent is there, once; and the comparison fails as soon as one row is not.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  agrees,
  type Finding,
  reconcile,
  reconcileTable,
  waitUntilSettled,
} from '../../loadtest/reconcile.ts'
import { type Smoke, sendSmoke } from '../../loadtest/smoke.ts'
import { unclearOf } from '../../loadtest/tally.ts'
import { newRun } from '../../loadtest/target.ts'
import { inTransaction, type Queryable, type Transaction } from '../../store/sql.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'

const run = newRun('smoke')
let deployment: Deployment
let smoke: Smoke
beforeAll(async () => {
  deployment = await startDeployment({ config: { localPostgresServers: 2 } })
  const { httpUrl, note } = deployment
  smoke = await sendSmoke({ httpUrl, writeKey: note.writeKey, run, rate: 400, seconds: 4 })
  await waitUntilSettled({ ...deployment, config: deployment.stack.config }, 60_000)
}, 180_000)
afterAll(() => deployment.close())

const compare = (all: Parameters<typeof reconcile>[0]['all'] = deployment.all) =>
  reconcile({ all, outboxDir: join(deployment.dataDir, 'outbox') }, run, smoke.tally)
const wrongOnes = (findings: Finding[]) => findings.filter((one) => !agrees(one)).map((one) => one.name)

test('everything that was sent was understood, and all of it is there once', async () => {
  expect(smoke.wrong).toEqual([])
  const { accepted, refused, resent, spenders, shed } = smoke.tally
  // 26 batches of 50, 320 singles, 4 people with 7 events each.
  expect({ accepted, refused, resent, spenders, shed }).toEqual({
    accepted: 26 * 50 + 320 + 4 * 7,
    refused: 2,
    resent: 3 * 50,
    spenders: 4,
    shed: 0,
  })
  expect(unclearOf(smoke.tally)).toEqual({ events: 0, spenders: 0 })
  const findings = await compare()
  expect(wrongOnes(findings), reconcileTable(smoke.tally, findings)).toEqual([])
  expect(findings.map((one) => one.name)).toContain('sum of their numbers')
})

/** Ids of the run on one server, in order. */
async function idsOn(sql: Queryable): Promise<string[]> {
  const rows = await sql<{ message_id: string }[]>`
    select message_id from events where message_id like ${`${run}-%`} order by message_id limit 2`
  return rows.map((row) => row.message_id)
}

/** What the comparison says after rows of one server were changed, which is undone again. */
async function wrongAfter(
  change: (tx: Transaction, ids: string[]) => Promise<unknown>,
  server: 0 | 1 = 0,
): Promise<string[]> {
  const [home, second] = deployment.all
  if (second === undefined) throw new Error('there is no second server')
  const undo = new Error('undone')
  let wrong: string[] = []
  await inTransaction(server === 0 ? home : second, async (tx) => {
    await change(tx, await idsOn(tx))
    wrong = wrongOnes(await compare(server === 0 ? [tx, second] : [home, tx]))
    throw undo
  }).catch((error: unknown) => expect(error).toBe(undo))
  return wrong
}

test('one row that is missing turns it red', async () => {
  expect(await wrongAfter((tx, [id = '']) => tx`delete from events where message_id = ${id}`)).toEqual([
    'persisted or failed',
    'sum of their numbers',
  ])
  expect(wrongOnes(await compare())).toEqual([])
})

test('a strange row in the place of a lost one turns it red', async () => {
  const strange = `${run}-9999999999`
  expect(
    await wrongAfter(
      (tx, [id = '']) => tx`update events set message_id = ${strange} where message_id = ${id}`,
    ),
  ).toEqual(['sum of their numbers'])
})

test('a row that is there twice turns it red', async () => {
  const again = (tx: Transaction, [id = '']: string[]) => tx`
    insert into events select bucket, event_id, source_id, marks, profile_id, time + interval '1 ms', received_at, value,
      currency, message_id, user_id, anonymous_id, properties, envelope from events where message_id = ${id}`
  expect(await wrongAfter(again)).toEqual(['persisted or failed', 'duplicates', 'sum of their numbers'])
})

test('a row that stands on both servers turns it red', async () => {
  const [elsewhere = ''] = await idsOn(deployment.sql)
  expect(
    await wrongAfter(
      (tx, [id = '']) => tx`update events set message_id = ${elsewhere} where message_id = ${id}`,
      1,
    ),
  ).toEqual(['duplicates', 'sum of their numbers'])
})

test('a mail that was sent twice turns it red', async () => {
  const file = join(deployment.dataDir, 'outbox', 'email.jsonl')
  appendFileSync(file, `{"at":"2026-11-21T00:00:00Z","id":"again","to":["${run}-spender-0@load.example"]}\n`)
  expect(wrongOnes(await compare())).toEqual(['email sent twice'])
})
