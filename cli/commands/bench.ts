// millrace bench: its own servers, all default pools, one run; prints what each piece costs and the ratio to bare COPY of
// the same rows. `--json FILE` also writes the figures; `--quick` takes a tenth of the time (for a look, not for a claim);
// `--full` also measures how the rate holds with up to 50 million stored rows. `bench segments` is another one (bench/segments/).
import { writeFileSync } from 'node:fs'
import { fail } from '../../runtime/errors.ts'
import type { Sql } from '../../store/sql.ts'
import { openCopyYardstick } from '../bench/copy.ts'
import { naivePipeline } from '../bench/naive.ts'
import { AS_COMPOSE, commitOf, machineText, withOwnServers } from '../bench/own-servers.ts'
import { endToEnd, memoryPerQueuedEvent, singleEvents, singlesAtRate, steadyRate } from '../bench/phases.ts'
import { runSegments } from '../bench/segments/run.ts'
import { rateByStoredRows } from '../bench/stored.ts'
import type { CliIo } from '../io.ts'

/** What k8s/README.md gives it, for tables that are larger than memory. */
const LARGE = { localPostgresBuffersMb: 4096, localPostgresWalMb: 16_384 }

export async function run(args: string[], io: CliIo): Promise<number> {
  const [first, ...rest] = args
  if (first === 'segments') return runSegments(rest, io)
  const { jsonFile, quick, full } = readOptions(args)
  const scale = quick ? 0.1 : 1
  const step = (text: string) => io.write(`  ${text}\n`)
  io.write('Millrace benchmark: own servers, all default pools, one run\n')
  const servers = { name: 'bench', env: io.env, say: step, config: full ? LARGE : AS_COMPOSE }
  return withOwnServers(servers, async (bench) => {
    const { stack, sql, redis, users } = bench
    const settings = await readSettings(sql, async (name) =>
      String(Object.values(Object(await redis.config('GET', name)))[1]),
    )
    for (const [name, value] of Object.entries(settings)) step(`${name} = ${value}`)

    step('warming up')
    await endToEnd(bench, 16 * users)
    const yardstick = await openCopyYardstick(stack.config.databaseUrl, {
      rows: Math.round(100_000 * Math.max(scale, 0.5)),
      users,
    })
    const copyRuns: number[] = []
    const copyEventRuns: number[] = []
    const copyThrice = async (when: string) => {
      step(`bare COPY, three times ${when}`)
      for (let i = 0; i < 3; i++) {
        copyRuns.push(await yardstick.rowsPerSecond())
        copyEventRuns.push(await yardstick.eventRowsPerSecond())
      }
    }
    await copyThrice('before')
    step('end to end: batches of 100 until the last row is in Postgres')
    const whole = await endToEnd(bench, Math.round((600_000 * scale) / 100) * 100)
    await copyThrice('after')
    step(`single events for ${Math.round(60 * scale)} s`)
    const singles = await singleEvents(bench, 60 * scale, 400)
    step('single events at half that rate')
    const half = await singlesAtRate(bench, {
      ratePerSecond: singles.requestsPerSecond / 2,
      seconds: 20 * scale,
      connections: 400,
    })
    step('steady 5,000 events/s')
    const steady = await steadyRate(bench, 5000, Math.max(5, 30 * scale))
    step('memory of waiting events')
    const redisBytes = await memoryPerQueuedEvent(bench, 20_000)
    step('a naive pipeline: one job and one insert an event')
    const naive = await naivePipeline(stack, { events: Math.round(100 * scale) * 200, users })

    if (full) step('the rate with 1, 10 and 50 million stored rows')
    const stored = full ? await rateByStoredRows(bench, yardstick, step) : undefined
    await yardstick.close()

    const copyRowsPerSecond = Math.max(...copyRuns)
    const copyEventRowsPerSecond = Math.max(...copyEventRuns)
    const figures = {
      copyRowsPerSecond,
      endToEndEventsPerSecond: whole.eventsPerSecond,
      ratio: whole.eventsPerSecond / copyRowsPerSecond,
      copyEventRowsPerSecond,
      ratioToEventRows: whole.eventsPerSecond / copyEventRowsPerSecond,
      naiveEventsPerSecond: naive,
      singleRequestsPerSecond: singles.requestsPerSecond,
      ...half,
      fullLoadAcceptP50Ms: singles.acceptP50Ms,
      fullLoadAcceptP99Ms: singles.acceptP99Ms,
      persistedP99Ms: steady.persistedP99Ms,
      membershipP50Ms: steady.membershipP50Ms,
      membershipP99Ms: steady.membershipP99Ms,
      steadyAcceptP50Ms: steady.acceptP50Ms,
      steadyAcceptP99Ms: steady.acceptP99Ms,
      redisBytesPerQueuedEvent: redisBytes,
      singlesQueuedJobsAtEnd: singles.queuedAtEnd,
      shedRequests: whole.shed + singles.shed,
      cpuMicrosecondsPerEvent: whole.cpu,
      eventsPerSecondByStoredRows: stored?.eventsPerSecond ?? null,
      copyRowsPerSecondByStoredRows: stored?.copyRowsPerSecond ?? null,
      copyRuns,
      copyEventRuns,
      settings,
      machine: machineText(),
      commit: commitOf(),
      quick,
    }
    io.write(format(figures))
    if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(figures, null, 2)}\n`)
    else io.write(`${JSON.stringify(figures)}\n`)
    return 0
  })
}

function readOptions(args: string[]): { jsonFile: string | undefined; quick: boolean; full: boolean } {
  let jsonFile: string | undefined
  let quick = false
  let full = false
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--json') jsonFile = args[++i]
    else if (args[i] === '--quick') quick = true
    else if (args[i] === '--full') full = true
    else
      throw fail('invalid_config', `bench does not know ${args[i]}: segments, --json FILE, --quick, --full`)
  }
  return { jsonFile, quick, full }
}

async function readSettings(
  sql: Sql,
  redisConfig: (name: string) => Promise<string>,
): Promise<Record<string, string>> {
  const settings: Record<string, string> = {}
  for (const name of [
    'server_version',
    'fsync',
    'full_page_writes',
    'synchronous_commit',
    'shared_buffers',
    'max_wal_size',
    'wal_level',
  ]) {
    const [row] = await sql.unsafe<{ value: string }[]>(`select current_setting('${name}') as value`)
    settings[name] = row?.value ?? ''
  }
  for (const name of [
    'appendonly',
    'appendfsync',
    'no-appendfsync-on-rewrite',
    'maxmemory-policy',
    'maxmemory',
  ])
    settings[name] = await redisConfig(name)
  return settings
}

function format(
  figures: Record<string, unknown> & { cpuMicrosecondsPerEvent: Record<string, number> },
): string {
  const whole = (name: string) => Math.round(Number(figures[name])).toLocaleString('en-US')
  const ms = (name: string) => `${Number(figures[name]).toFixed(1)} ms`
  const rows: [string, string][] = [
    ['bare COPY of the same rows and their keys', `${whole('copyRowsPerSecond')} rows/s`],
    ['end to end, batches of 100', `${whole('endToEndEventsPerSecond')} events/s`],
    ['ratio', Number(figures.ratio).toFixed(3)],
    ['  bare COPY without message_ids', `${whole('copyEventRowsPerSecond')} rows/s`],
    ['  ratio to that', Number(figures.ratioToEventRows).toFixed(3)],
    ['a naive pipeline of the same stages', `${whole('naiveEventsPerSecond')} events/s`],
    ['single events', `${whole('singleRequestsPerSecond')} requests/s`],
    ['  accept p50 / p99', `${ms('fullLoadAcceptP50Ms')} / ${ms('fullLoadAcceptP99Ms')}`],
    [
      '  at half of that: accept p50 / p95 / p99',
      `${ms('acceptP50Ms')} / ${ms('acceptP95Ms')} / ${ms('acceptP99Ms')}`,
    ],
    ['at 5,000 events/s: accept p50 / p99', `${ms('steadyAcceptP50Ms')} / ${ms('steadyAcceptP99Ms')}`],
    ['  accepted to persisted p99', ms('persistedP99Ms')],
    ['  event to membership p50 / p99', `${ms('membershipP50Ms')} / ${ms('membershipP99Ms')}`],
    ['Redis memory a waiting event', `${whole('redisBytesPerQueuedEvent')} bytes`],
    ...Object.entries(figures.cpuMicrosecondsPerEvent).map(([name, value]): [string, string] => [
      `CPU an event: ${name}`,
      `${value.toFixed(1)} µs`,
    ]),
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  return `\n${rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n')}\n\n  ${figures.machine}, commit ${figures.commit}\n\n`
}
