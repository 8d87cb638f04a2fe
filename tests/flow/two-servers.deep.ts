// People on two Postgres servers, all pools as processes: while events come in, the persist pool is killed in the midst of
// its transactions over both, and the second server crashes. Nothing acknowledged is lost or doubled, wherever it lives.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type LocalPostgres, startPostgres } from '../../cli/local/postgres.ts'
import { issueKey } from '../../store/keys.ts'
import { judgeDeliveries, judgeEvents, printTable } from '../faults/judge.ts'
import { BLOCK, openRun, runLoad, shopping } from '../faults/load.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'

const PROCESSES = [
  ['collector', 'api'],
  ['ingest'],
  ['persist'],
  ['segment', 'schedule'],
  ['deliver', 'archive'],
]
const BUYERS = 100
const EVENTS = BUYERS * BLOCK

let dir: string
let home: LocalPostgres
let second: LocalPostgres
let deployment: Deployment

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-two-'))
  const server = (name: string, maxPreparedTransactions: number) =>
    startPostgres({
      dir: join(dir, name),
      port: 0,
      maxConnections: 60,
      maxPreparedTransactions,
      log: () => {},
    })
  ;[home, second] = await Promise.all([server('home', 0), server('second', 60)])
  deployment = await startDeployment({
    processes: PROCESSES,
    config: { databaseUrl: home.url, shardDatabaseUrls: [second.url], scheduleTickMs: 100 },
  })
}, 120_000)
afterAll(async () => {
  await deployment?.close()
  await Promise.all([home?.destroy(), second?.destroy()])
  await rm(dir, { recursive: true, force: true })
}, 60_000)

const preparedOnSecond = async () => {
  const [, sql] = deployment.all
  const rows = await sql?.unsafe<{ count: number }[]>('select count(*)::int as count from pg_prepared_xacts')
  return rows?.[0]?.count ?? 0
}

test('deaths of the persist pool and of a server lose nothing and double nothing', async () => {
  const { stack, all, dataDir } = deployment
  const { ledgerFile, ledger, startMs, common } = await openRun(deployment, BUYERS)
  let isBroken = true
  const load = runLoad({
    ...common,
    messages: shopping(startMs, { prefix: '', buyers: BUYERS }),
    eventsPerSecond: 800,
    isEnough: (acked) => !isBroken && acked >= EVENTS,
  })
  const persist = stack.processOf('persist')
  for (let kill = 0; kill < 3; kill++) {
    await new Promise((resolve) => setTimeout(resolve, 600 + Math.random() * 400))
    const restarts = persist.restarts()
    persist.kill('SIGKILL')
    await waitFor(
      async () =>
        persist.restarts() > restarts &&
        (await fetch(`${persist.addresses().probes}/healthz`)).status === 200,
      { timeoutMs: 20_000, what: 'persist to be back' },
    )
  }
  await second.restartImmediate()
  isBroken = false
  const totals = await load
  await ledger.close()
  await deployment.settled(120_000)

  const events = await judgeEvents(all, ledgerFile)
  const buyers = Array.from({ length: BUYERS }, (_, buyer) => `buyer-${buyer}`)
  const deliveries = await judgeDeliveries(all, join(dataDir, 'outbox'), buyers)
  const rows = await Promise.all(
    all.map((sql) => sql<{ count: number }[]>`select count(*)::int as count from events`),
  )
  const share = rows.map(([row]) => row?.count ?? 0)
  printTable('two Postgres servers', { 'requests sent again': totals.retried, share, ...events, deliveries })
  expect(events).toMatchObject({ lost: 0, duplicated: 0, phantom: 0, altered: 0, failed: 0 })
  expect(Math.min(...share)).toBeGreaterThan(EVENTS / 4)
  expect(deliveries).toMatchObject({
    expected: BUYERS * 3,
    doubled: 0,
    unexpected: 0,
    missing: 0,
    unknown: 0,
  })
  expect(await preparedOnSecond()).toBe(0)
}, 240_000)

test('the API shows people, sessions and members of both servers as those of one', async () => {
  const { httpUrl, all } = deployment
  const { key } = await issueKey(
    deployment.sql,
    { kind: 'sec', name: 'reader' },
    crypto.getRandomValues(Buffer.alloc(16)),
  )
  async function every(path: string): Promise<Record<string, unknown>[]> {
    const found: Record<string, unknown>[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: Response = await fetch(
        `${httpUrl}${path}?limit=100${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
        { headers: { authorization: `Bearer ${key}` } },
      )
      expect(page.status).toBe(200)
      const body = (await page.json()) as { data: Record<string, unknown>[]; nextCursor: string | null }
      found.push(...body.data)
      cursor = body.nextCursor
    }
    return found
  }
  const stored = async (query: string) => {
    const rows = await Promise.all(all.map((sql) => sql.unsafe<{ id: string }[]>(query)))
    return rows
      .flat()
      .map((row) => row.id)
      .sort()
  }
  const users = await every('/api/v1/users')
  expect(users.map((user) => String(user.userId)).sort()).toEqual(
    await stored('select user_id as id from profiles where user_id is not null and merged_into is null'),
  )
  const sessions = await every('/api/v1/sessions')
  expect(sessions.map((one) => `${one.profileId}`).sort()).toEqual(
    await stored('select profile_id::text as id from sessions'),
  )
  const members = await every('/api/v1/segments/big-spenders/members')
  expect(members.map((one) => `${one.profileId}`).sort()).toEqual(
    await stored('select profile_id::text as id from memberships'),
  )
  expect(members.length).toBe(BUYERS)
  const buyer = await fetch(`${httpUrl}/api/v1/users/buyer-7/events`, {
    headers: { authorization: `Bearer ${key}` },
  })
  const { data } = (await buyer.json()) as { data: { event: string }[] }
  expect(data.filter((event) => event.event === 'Order Completed')).toHaveLength(6)
})
