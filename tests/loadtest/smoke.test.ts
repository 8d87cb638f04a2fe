// The smoke test on a real deployment: what was sent is there, once; and the comparison fails as soon as one row is not.
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
import { newRun } from '../../loadtest/target.ts'
import { inTransaction, type Transaction } from '../../store/sql.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'

const run = newRun('smoke')
let deployment: Deployment
let smoke: Smoke
beforeAll(async () => {
  deployment = await startDeployment({})
  const { httpUrl, note } = deployment
  smoke = await sendSmoke({ httpUrl, writeKey: note.writeKey, run, rate: 400, seconds: 4 })
  await waitUntilSettled({ ...deployment, config: deployment.stack.config }, 60_000)
}, 180_000)
afterAll(() => deployment.close())

const compare = () =>
  reconcile({ sql: deployment.sql, outboxDir: join(deployment.dataDir, 'outbox') }, run, smoke.tally)
const wrongOnes = (findings: Finding[]) => findings.filter((one) => !agrees(one)).map((one) => one.name)

test('everything that was sent was understood, and all of it is there once', async () => {
  expect(smoke.wrong).toEqual([])
  const { accepted, refused, resent, spenders, shed, unclear } = smoke.tally
  // 26 batches of 50, 320 singles, 4 people with 7 events each.
  expect({ accepted, refused, resent, spenders, shed, unclear }).toEqual({
    accepted: 26 * 50 + 320 + 4 * 7,
    refused: 2,
    resent: 3 * 50,
    spenders: 4,
    shed: 0,
    unclear: 0,
  })
  const findings = await compare()
  expect(wrongOnes(findings), reconcileTable(smoke.tally, findings)).toEqual([])
  expect(findings.map((one) => one.name)).toContain('sum of their numbers')
})

/** What the comparison says after rows were changed, which is undone again. */
async function wrongAfter(change: (tx: Transaction, ids: string[]) => Promise<unknown>): Promise<string[]> {
  const { sql, dataDir } = deployment
  const undo = new Error('undone')
  let wrong: string[] = []
  await inTransaction(sql, async (tx) => {
    const rows = await tx<{ message_id: string }[]>`
      select message_id from events where message_id like ${`${run}-%`} order by message_id limit 1`
    await change(
      tx,
      rows.map((row) => row.message_id),
    )
    wrong = wrongOnes(await reconcile({ sql: tx, outboxDir: join(dataDir, 'outbox') }, run, smoke.tally))
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

test('a mail that was sent twice turns it red', async () => {
  const file = join(deployment.dataDir, 'outbox', 'email.jsonl')
  appendFileSync(file, `{"at":"2026-11-21T00:00:00Z","id":"again","to":["${run}-spender-0@load.example"]}\n`)
  expect(wrongOnes(await compare())).toEqual(['email sent twice'])
})
