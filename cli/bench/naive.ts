// The baseline of the benchmark: what a pipeline of one job and one insert an event carries on the same servers (naive-process.ts),
// in as many processes as ours, under the same load.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { connectSql, type Sql } from '../../store/sql.ts'
import { endChild } from '../local/server.ts'
import type { Stack } from '../local/stack.ts'
import { eventText, openHttpLoad } from './load.ts'

const ENTRY = fileURLToPath(new URL('./naive-process.ts', import.meta.url))
const SCHEMA = 'bench_naive'
const PROCESSES = [['collector', 'ingest'], ['persist'], ['segment', 'deliver']]
const BATCH = 100
const LANES = 8
const WARM_UP_EVENTS = 1000

/** Events a second from the first request until the last row is in Postgres. */
export async function naivePipeline(
  stack: Stack,
  options: { events: number; users: number },
): Promise<number> {
  const sql = connectSql({
    url: stack.config.databaseUrl,
    namespace: SCHEMA,
    max: 1,
    applicationName: 'bench-naive',
    statementTimeoutMs: 300_000,
  })
  const children: ChildProcess[] = []
  try {
    await makeTables(sql)
    let url = ''
    for (const stages of PROCESSES) {
      const child = startProcess(stages, stack)
      children.push(child)
      const [ready] = await once(child, 'message')
      url ||= ready.url
    }
    await sendAll(sql, url, { ...options, events: WARM_UP_EVENTS, run: 'warm' })
    return await sendAll(sql, url, { ...options, run: 'naive' })
  } finally {
    await Promise.all(children.map((child) => endChild(child, 'SIGTERM', 'SIGKILL', 2000)))
    await sql`drop schema ${sql(SCHEMA)} cascade`
    await sql.end({ timeout: 5 })
  }
}

async function makeTables(sql: Sql): Promise<void> {
  await sql`create schema ${sql(SCHEMA)}`
  await sql`create table profiles (user_id text primary key, first_seen timestamptz not null, last_seen timestamptz not null)`
  await sql`
    create table events (message_id text primary key, user_id text not null, name text not null, time timestamptz not null,
      properties jsonb not null)`
  await sql`create index on events (user_id, name, time)`
  await sql`
    create table sessions (user_id text not null, started_at timestamptz not null, ended_at timestamptz not null,
      events integer not null)`
  await sql`create index on sessions (user_id, ended_at)`
  await sql`create table memberships (user_id text primary key)`
  await sql`create table deliveries (user_id text primary key)`
}

function startProcess(stages: string[], stack: Stack): ChildProcess {
  const { databaseUrl, redisUrl } = stack.config
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ENTRY, ...stages], {
    env: { ...stack.env, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, NAIVE_SCHEMA: SCHEMA },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}

async function sendAll(
  sql: Sql,
  url: string,
  { events, users, run }: { events: number; users: number; run: string },
): Promise<number> {
  const load = openHttpLoad({ url, writeKey: 'none', connections: LANES })
  const countRows = async () => {
    const [row] = await sql<{ count: number }[]>`select count(*)::int as count from events`
    return row?.count ?? 0
  }
  const before = await countRows()
  let sent = 0
  const lane = async () => {
    while (sent < events) {
      const from = sent
      sent += BATCH
      const texts = Array.from({ length: BATCH }, (_, i) =>
        eventText('server', run, from + i, { users, nowMs: Date.now() }),
      )
      const status = await load.post('/v1/batch', `{"batch":[${texts.join(',')}]}`)
      if (status !== 200) throw new Error(`the naive collector answered ${status}`)
    }
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: LANES }, lane))
  while ((await countRows()) < before + events) await new Promise((resolve) => setTimeout(resolve, 50))
  const seconds = (performance.now() - startedAt) / 1000
  load.close()
  return events / seconds
}
