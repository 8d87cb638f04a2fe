// What more processes, more shards and a second Postgres server cost: `node loadtest/measure-efficiency.ts [workers] [shards]
// [servers]` runs the same events through 1, 2, 4 and 8 worker processes, through 1, 4, 16 and 64 shards, and on 1 and 2
// Postgres servers, on servers of its own, and prints events a second and CPU an event. Rows of a round follow each other
// forwards and then backwards, and each keeps its cheaper run: a machine that others use too drifts. Writes what it measured
// into results/efficiency.json, which the tables of loadtest/README.md are compared with.
import { readFileSync, writeFileSync } from 'node:fs'
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

type Setup = { workers: number; shards: number; servers: number }
type Axis = keyof Setup
type Row = Setup & { eventsPerSecond: number; cpuMicrosecondsPerEvent: Record<string, number>; sum: number }

const USUAL: Setup = { workers: 1, shards: DEFAULT_SHARDS, servers: 1 }
const AXES: Record<Axis, number[]> = { workers: [1, 2, 4, 8], shards: [1, 4, 16, 64], servers: [1, 2] }
const NAMES: Record<Axis, string> = {
  workers: 'worker processes',
  shards: 'shards',
  servers: 'Postgres servers',
}

const isAxis = (name: string): name is Axis => Object.hasOwn(AXES, name)
const asked = process.argv.slice(2).filter(isAxis)
for (const axis of asked.length > 0 ? asked : Object.keys(AXES).filter(isAxis)) {
  const runs: Row[] = []
  const setups = AXES[axis].map((value) => ({ ...USUAL, [axis]: value }))
  for (const setup of [...setups, ...setups.toReversed()]) {
    const row = await measure(setup)
    const per = `${Math.round(row.eventsPerSecond)} events/s, ${row.sum.toFixed(1)} µs an event`
    console.log(`  ${row[axis]} ${NAMES[axis]}: ${per}`)
    runs.push(row)
  }
  const rows = AXES[axis].flatMap((value) => {
    const own = runs.filter((row) => row[axis] === value).sort((one, other) => one.sum - other.sum)
    return own.slice(0, 1)
  })
  keep(axis, rows)
  show(axis, rows)
}

function keep(axis: Axis, rows: Row[]): void {
  const kept: Record<string, unknown> = JSON.parse(readFileSync(FILE, 'utf8'))
  const date = new Date().toISOString().slice(0, 10)
  const measured = { machine: machineText(), commit: commitOf(), date }
  writeFileSync(
    FILE,
    `${JSON.stringify({ ...kept, [axis]: { measured, rows: rows.map(rounded) } }, null, 2)}\n`,
  )
}

function show(axis: Axis, rows: Row[]): void {
  const first = rows[0]?.sum ?? 0
  console.log(
    table(
      [NAMES[axis], 'events/s', 'CPU µs an event', 'efficiency'].map((title) => ({
        title,
        align: 'right' as const,
      })),
      rows.map((row) => [
        String(row[axis]),
        String(Math.round(row.eventsPerSecond)),
        row.sum.toFixed(1),
        `${Math.round((100 * first) / row.sum)} %`,
      ]),
    ),
  )
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
    config: { shards: setup.shards, localPostgresServers: setup.servers },
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
    servers: row.servers,
    eventsPerSecond: Math.round(row.eventsPerSecond),
    sum: tenth(row.sum),
    cpuMicrosecondsPerEvent: Object.fromEntries(
      Object.entries(row.cpuMicrosecondsPerEvent).map(([name, value]) => [name, tenth(value)]),
    ),
  }
}
