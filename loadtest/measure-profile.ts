// Where the microseconds of an event go: `node loadtest/measure-profile.ts` runs the bench's events through one process a
// pool under V8's sampling profiler and says, pool by pool, what part of the code the time was in. Writes
// results/profile.json, which a table of loadtest/README.md is compared with, and results/profile.svg, its picture.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { machineText, withOwnServers } from '../cli/bench/own-servers.ts'
import { endToEnd, readCpu, singleEvents } from '../cli/bench/phases.ts'
import { table } from '../cli/table.ts'
import { commitOf } from './commit.ts'
import { drawProfile } from './profile/draw.ts'
import { type CpuProfile, type Shares, sharesOf, type Window } from './profile/shares.ts'

const EVENTS = 400_000
const SINGLES_SECONDS = 15
const STAGES = ['collector', 'ingest', 'persist', 'segment', 'archive']
const RESULTS = join(import.meta.dirname, 'results')

type Phase = { name: string; window: Window; events: number; cpu: Record<string, number> }
export type ProfileRow = { phase: string; stage: string; microseconds: number; shares: Shares }

const dir = mkdtempSync(join(tmpdir(), 'millrace-profiles-'))
const pids = new Map<string, number>()
const phases: Phase[] = []
await withOwnServers(
  {
    name: 'profile',
    env: { ...process.env, NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${dir} --cpu-prof-interval=500` },
    say: (text) => console.log(`  ${text}`),
    config: { localPostgresBuffersMb: 512 },
    processes: [...STAGES, 'deliver', 'schedule'].map((stage) => [stage]),
    postgresConnections: 100,
  },
  async (bench) => {
    for (const one of bench.stack.processes) pids.set(one.pools[0] ?? '', one.pid() ?? 0)
    await endToEnd(bench, 16 * bench.users)
    const watched = async (name: string, work: () => Promise<number>) => {
      const before = readCpu(bench)
      const from = monotonicMicros()
      const events = await work()
      const window = { from, to: monotonicMicros() }
      const after = readCpu(bench)
      const spent = (stage: string) => (((after[stage] ?? 0) - (before[stage] ?? 0)) / events) * 1e6
      phases.push({
        name,
        window,
        events,
        cpu: Object.fromEntries(Object.keys(after).map((key) => [key, spent(key)])),
      })
    }
    await watched('batches of 100', async () => (await endToEnd(bench, EVENTS)).events)
    await watched('single events', async () => (await singleEvents(bench, SINGLES_SECONDS, 400)).accepted)
  },
)

const rows = phases.flatMap(({ name, window, cpu }) =>
  STAGES.map((stage): ProfileRow => {
    const profile = readProfile(pids.get(stage) ?? 0)
    return { phase: name, stage, microseconds: tenth(cpu[stage] ?? 0), shares: sharesOf(profile, window) }
  }),
)
const stores = phases.map(({ name, cpu }) => ({
  phase: name,
  postgres: tenth(cpu.postgres ?? 0),
  redis: tenth(cpu.redis ?? 0),
}))
const measured = { machine: machineText(), commit: commitOf(), date: new Date().toISOString().slice(0, 10) }
writeFileSync(join(RESULTS, 'profile.json'), `${JSON.stringify({ measured, rows, stores }, null, 2)}\n`)
writeFileSync(join(RESULTS, 'profile.svg'), drawProfile(rows))
rmSync(dir, { recursive: true, force: true })
for (const row of rows) {
  console.log(`\n${row.phase}, ${row.stage}: ${row.microseconds} µs an event`)
  const parts = Object.entries(row.shares).map(([part, share]) => [
    part,
    `${(share * 100).toFixed(1)} %`,
    (share * row.microseconds).toFixed(1),
  ])
  console.log(
    table([{ title: 'where' }, { title: 'share', align: 'right' }, { title: 'µs', align: 'right' }], parts),
  )
}

/** V8 stamps its samples with the same clock. */
function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1000n)
}

function readProfile(pid: number): CpuProfile {
  const name = readdirSync(dir).find((file) => file.split('.')[3] === String(pid))
  if (name === undefined) throw new Error(`process ${pid} left no profile`)
  return JSON.parse(readFileSync(join(dir, name), 'utf8'))
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10
}
