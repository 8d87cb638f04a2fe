// Compares what a load test counted (tally.ts) with what is there: rows, failed events, entries into the segment, messages
// in the sinks. `node loadtest/reconcile.ts --run RUN --tally FILE` asks a running deployment; run.ts and the tests call it.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { jobsInFlow } from '../cli/demo/counts.ts'
import { DEMO_SEGMENT } from '../cli/demo/setup.ts'
import { table } from '../cli/table.ts'
import type { RedisClient } from '../queues/connection.ts'
import type { Config } from '../runtime/config.ts'
import { fail, MillraceError } from '../runtime/errors.ts'
import type { Queryable, Sql } from '../store/sql.ts'
import { emptyTally, type Tally, unclearOf } from './tally.ts'
import { openTarget } from './target.ts'

/** `most` differs from `least` where answers were unclear: what was sent may have been kept or not. */
export type Finding = { name: string; least: number; most: number; found: number }

const CHANNELS = ['email', 'push', 'webhook'] as const

export function agrees({ least, most, found }: Finding): boolean {
  return found >= least && found <= most
}

/** Call it when everything is at rest (`waitUntilSettled`). `all` = every Postgres server, home first. */
export async function reconcile(
  from: { all: readonly [Queryable, ...Queryable[]]; outboxDir: string },
  run: string,
  tally: Tally,
): Promise<Finding[]> {
  const kept = await readKept(from.all, run)
  const { entered, unsent } = await readEntries(from.all, run)
  const unclear = unclearOf(tally)
  const received = CHANNELS.map((channel) => ({ channel, ...readSink(from.outboxDir, channel, run) }))
  const exactly = (name: string, expected: number, found: number): Finding => ({
    name,
    least: expected,
    most: expected,
    found,
  })
  const maybe = (name: string, least: number, unclear: number, found: number): Finding => ({
    name,
    least,
    most: least + unclear,
    found,
  })
  return [
    maybe('persisted or failed', tally.accepted, unclear.events, kept.rows + kept.failed),
    exactly('duplicates', 0, kept.doubled),
    // Only where each answer was clear is it known which numbers there must be; failed events have theirs too.
    ...(unclear.events === 0 && kept.failed === 0
      ? [exactly('sum of their numbers', tally.checksum, kept.checksum)]
      : []),
    maybe('entered the segment', tally.spenders, unclear.spenders, entered),
    ...received.flatMap(({ channel, messages, people }) => [
      exactly(`people with ${channel}`, entered, people),
      exactly(`${channel} sent twice`, 0, messages - people),
    ]),
    exactly('deliveries not sent', 0, unsent),
  ]
}

async function readKept(all: readonly [Queryable, ...Queryable[]], run: string) {
  const kept = { rows: 0, doubled: 0, checksum: 0, failed: 0 }
  let before: number | undefined
  for await (const number of merged(all.map((sql) => numbersOn(sql, run)))) {
    kept.rows += 1
    kept.checksum += number
    if (number === before) kept.doubled += 1
    before = number
  }
  const [row] = await all[0]<{ failed: number }[]>`
    select count(*)::int as failed from failed_events where resolved_at is null and message_id like ${`${run}-%`}`
  kept.failed = row?.failed ?? 0
  return kept
}

const PAGE = 10_000

/** Numbers of the run's events on one server, ascending. */
async function* numbersOn(sql: Queryable, run: string): AsyncGenerator<number> {
  const pages = sql<{ number: number }[]>`
    select substr(message_id, ${run.length + 2}::int)::bigint as number
    from events where message_id like ${`${run}-%`} order by number`.cursor(PAGE)
  for await (const page of pages) for (const { number } of page) yield number
}

/** Merged, an event that stands on two servers is next to itself. */
async function* merged(streams: AsyncGenerator<number>[]): AsyncGenerator<number> {
  const heads = await Promise.all(streams.map(async (stream) => ({ stream, head: await stream.next() })))
  for (;;) {
    let least: (typeof heads)[number] | undefined
    for (const one of heads)
      if (one.head.done !== true && (least === undefined || one.head.value < least.head.value)) least = one
    if (least === undefined) return
    yield least.head.value
    least.head = await least.stream.next()
  }
}

async function readEntries(all: readonly [Queryable, ...Queryable[]], run: string) {
  const people = `${run}-spender-%`
  const [segment] = await all[0]<
    { id: number }[]
  >`select segment_id as id from segments where slug = ${DEMO_SEGMENT}`
  const sum = { entered: 0, unsent: 0 }
  for (const sql of all) {
    const [row] = await sql<{ entered: number; unsent: number }[]>`
      select (select count(*)::int from membership_changes c
          join profiles p on p.bucket = c.bucket and p.profile_id = c.profile_id
          where c.segment_id = ${segment?.id ?? null} and c.op = 'enter' and p.user_id like ${people}) as entered,
        (select count(*)::int from deliveries d
          join profiles p on p.bucket = d.bucket and p.profile_id = d.profile_id
          where p.user_id like ${people} and d.state <> 'sent') as unsent`
    sum.entered += row?.entered ?? 0
    sum.unsent += row?.unsent ?? 0
  }
  return sum
}

/** Messages of this run in the file of a sink, and how many people they went to. */
function readSink(dir: string, channel: (typeof CHANNELS)[number], run: string) {
  const file = join(dir, `${channel}.jsonl`)
  const lines = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []
  const receivers = lines
    .filter((line) => line.includes(`${run}-spender-`))
    .map((line) => new RegExp(`${run}-spender-\\d+`).exec(line)?.[0])
  return { messages: receivers.length, people: new Set(receivers).size }
}

/** Resolves when no job, no change to announce and no open delivery was seen three times in a row. */
export async function waitUntilSettled(
  from: { all: readonly Sql[]; redis: RedisClient; config: Config },
  timeoutMs: number,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (let quiet = 0; quiet < 3; ) {
    const jobs = await jobsInFlow(from.redis, from.config)
    let open = jobs
    for (const sql of from.all) {
      const [row] = await sql<{ open: number }[]>`
        select (select count(*)::int from membership_changes where announced_at is null)
          + (select count(*)::int from deliveries where state in ('claimed', 'sending', 'waiting')) as open`
      open += row?.open ?? 0
    }
    quiet = open === 0 ? quiet + 1 : 0
    if (Date.now() > deadline)
      throw fail('unavailable', `${open} jobs and messages are still under way after ${timeoutMs / 1_000} s`)
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

export function reconcileTable(tally: Tally, findings: Finding[]): string {
  const whole = (value: number) => value.toLocaleString('en-US')
  const right = (title: string) => ({ title, align: 'right' as const })
  const counted = Object.entries({ ...tally, unclear: unclearOf(tally).events }).map(
    ([name, value]) => `${name} ${whole(value)}`,
  )
  const rows = findings.map((one) => [
    one.name,
    one.least === one.most ? whole(one.least) : `${whole(one.least)} … ${whole(one.most)}`,
    whole(one.found),
    agrees(one) ? '✓' : '✗',
  ])
  return `counted by the generator: ${counted.join(', ')}\n\n${table([{ title: '' }, right('expected'), right('there'), { title: '' }], rows)}`
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      run: { type: 'string' },
      tally: { type: 'string' },
      url: { type: 'string' },
      'write-key': { type: 'string' },
      'secret-key': { type: 'string' },
    },
  })
  if (values.run === undefined || values.tally === undefined)
    throw fail('invalid_request', 'name the run and the file with its tally: --run RUN --tally FILE')
  const tally: Tally = { ...emptyTally(), ...JSON.parse(readFileSync(values.tally, 'utf8')) }
  const target = await openTarget(values)
  try {
    await waitUntilSettled(target, 300_000)
    const findings = await reconcile(target, values.run, tally)
    console.log(reconcileTable(tally, findings))
    process.exitCode = findings.every(agrees) ? 0 : 1
  } finally {
    await target.close()
  }
}

if (import.meta.main)
  await main().catch((error: unknown) => {
    console.error(error instanceof MillraceError ? error.detail : error)
    process.exitCode = 2
  })
