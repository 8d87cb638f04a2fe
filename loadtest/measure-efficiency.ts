// What more processes, more shards and a second Postgres server cost: `node loadtest/measure-efficiency.ts` runs the same events through 1, 2, 4 and
// 8 worker processes, through 1, 4, 16 and 64 shards, and on 1 and 2 Postgres servers, on servers of its own, and prints events a second and CPU an
// event. Rows of a round follow each other forwards and then backwards, and each keeps its cheaper run: a machine that
// others use too drifts. Writes results/efficiency.json, which a table of loadtest/README.md is compared with.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { machineText, withOwnServers } from '../cli/bench/own-servers.ts'
import { endToEnd } from '../cli/bench/phases.ts'
import { table } from '../cli/table.ts'
import { DEFAULT_SHARDS } from '../domain/buckets.ts'
import { commitOf } from './commit.ts'

const EVENTS = 400_000
/** A process: V8 compiles in each of them what is used often, which takes seconds of CPU and is over after so many events. */
const WARM_UP = 75_000
const FILE = join(import.meta.dirname, 'results/efficiency.json')

type Setup = { workers: number; shards: number; postgres: number }
type Row = Setup & { eventsPerSecond: number; cpuMicrosecondsPerEvent: Record<string, number>; sum: number }

const WORKERS: Setup[] = [1, 2, 4, 8].map((workers) => ({ workers, shards: DEFAULT_SHARDS, postgres: 1 }))
const SHARDS: Setup[] = [1, 4, 16, 64].map((shards) => ({ workers: 1, shards, postgres: 1 }))
const SERVERS: Setup[] = [1, 2].map((postgres) => ({ workers: 1, shards: DEFAULT_SHARDS, postgres }))

const rows: Row[] = []
for (const setups of [WORKERS, SHARDS, SERVERS]) {
  const runs: Row[] = []
  for (const setup of [...setups, ...setups.toReversed()]) {
    const row = await measure(setup)
    console.log(
      `  ${nameOf(row)}: ${Math.round(row.eventsPerSecond)} events/s, ${row.sum.toFixed(1)} µs an event`,
    )
    runs.push(row)
  }
  for (const setup of setups) {
    const own = runs.filter((row) => nameOf(row) === nameOf(setup)).sort((a, b) => a.sum - b.sum)
    if (own[0] !== undefined) rows.push(own[0])
  }
}
const measured = {
  machine: machineText(),
  commit: commitOf(),
  date: new Date().toISOString().slice(0, 10),
}
writeFileSync(FILE, `${JSON.stringify({ measured, rows: rows.map(rounded) }, null, 2)}\n`)
console.log(
  table(
    ['worker processes', 'shards', 'Postgres servers', 'events/s', 'CPU µs an event', 'efficiency'].map(
      (title) => ({
        title,
        align: 'right' as const,
      }),
    ),
    rows.map((row) => [
      String(row.workers),
      String(row.shards),
      String(row.postgres),
      String(Math.round(row.eventsPerSecond)),
      row.sum.toFixed(1),
      `${Math.round((100 * (rows.find((one) => one.workers === 1)?.sum ?? 0)) / row.sum)} %`,
    ]),
  ),
)

function nameOf({ workers, shards, postgres }: Setup): string {
  return `${workers} worker processes, ${shards} shards, ${postgres} Postgres servers`
}

/** The collector has a process of its own; each worker process runs all other pools of the flow. */
function processesOf(workers: number): string[][] {
  const flow = ['ingest', 'persist', 'segment', 'deliver', 'archive']
  return [['collector'], ...Array.from({ length: workers }, () => flow), ['schedule']]
}

async function measure(setup: Setup): Promise<Row> {
  const servers = {
    name: 'efficiency',
    env: process.env,
    say: () => {},
    config: { shards: setup.shards, localPostgresServers: setup.postgres },
    processes: processesOf(setup.workers),
    postgresConnections: 200,
  }
  return withOwnServers(servers, async (bench) => {
    await endToEnd(bench, WARM_UP * setup.workers)
    const { eventsPerSecond, cpu } = await endToEnd(bench, EVENTS)
    const { generator: _, ...ours } = cpu
    const sum = Object.values(ours).reduce((total, value) => total + value, 0)
    return { ...setup, eventsPerSecond, cpuMicrosecondsPerEvent: ours, sum }
  })
}

function rounded(row: Row): Row {
  const tenth = (value: number) => Math.round(value * 10) / 10
  return {
    workers: row.workers,
    shards: row.shards,
    postgres: row.postgres,
    eventsPerSecond: Math.round(row.eventsPerSecond),
    sum: tenth(row.sum),
    cpuMicrosecondsPerEvent: Object.fromEntries(
      Object.entries(row.cpuMicrosecondsPerEvent).map(([name, value]) => [name, tenth(value)]),
    ),
  }
}
