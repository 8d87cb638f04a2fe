// Runs one of the k6 tests against a deployment and compares the books afterwards:
//   node loadtest/run.ts SCENARIO [--rate EVENTS] [--seconds N] [--singles-percent N] [--keep] [--url … --write-key … --secret-key …]
// --keep writes k6's own output, machine, commit and the comparison to loadtest/results/. Exits with 1 when a threshold or
// the comparison fails.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Config } from '../runtime/config.ts'
import { errorCodeOf, fail, MillraceError } from '../runtime/errors.ts'
import { commitOf } from './commit.ts'
import { agrees, reconcile, reconcileTable, waitUntilSettled } from './reconcile.ts'
import { type Recording, record } from './recorder.ts'
import { COUNTS, emptyTally, type Tally } from './tally.ts'
import { newRun, openTarget, type Target } from './target.ts'

const ROOT = join(import.meta.dirname, '..')
const RESULTS = join(import.meta.dirname, 'results')
const SETTLE_MS = 900_000
/** Files beside the tests, which are no test. */
const PARTS = ['journey', 'mix', 'settings', 'shapes']
/** k6's own exit code for a threshold that was crossed. */
const THRESHOLD_CROSSED = 99

type Wanted = { scenario: string; run: string; rate: string; seconds: string; singles: string }
type K6 = { code: number; output: string; tally: Tally; recording: Recording }

function scenarioNames(): string[] {
  return readdirSync(join(import.meta.dirname, 'k6'))
    .map((file) => file.replace(/\.ts$/, ''))
    .filter((name) => !PARTS.includes(name))
}

function k6Version(): string {
  try {
    return execFileSync('k6', ['version'], { encoding: 'utf8' }).trim()
  } catch (cause) {
    const why = errorCodeOf(cause) === 'ENOENT' ? 'is not on the PATH' : 'does not run'
    throw fail(
      'missing_program',
      `k6 ${why}: go install go.k6.io/k6@v1.8.1, or run the smoke test without it: node loadtest/smoke.ts`,
      { cause },
    )
  }
}

async function runK6(wanted: Wanted, target: Target): Promise<K6> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-k6-'))
  const summary = join(dir, 'summary.json')
  const told: Record<string, string> = {
    TARGET: target.httpUrl,
    WRITE_KEY: target.writeKey,
    SECRET_KEY: target.secretKey,
    RUN: wanted.run,
    RATE: wanted.rate,
    SECONDS: wanted.seconds,
    SINGLES_PERCENT: wanted.singles,
  }
  const environment = Object.entries(told).flatMap(([name, value]) => ['-e', `${name}=${value}`])
  const quiet = ['--no-usage-report', '--no-color', '--quiet', '--summary-export', summary]
  const child = spawn('k6', ['run', ...quiet, ...environment, `loadtest/k6/${wanted.scenario}.ts`], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const recorder = record(target, child.pid)
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
    process.stdout.write(chunk)
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (ended) => resolve(ended ?? 1))
  }).finally(() => recorder.stop())
  const recording = await recorder.stop()
  const tally = existsSync(summary) ? readTally(summary) : emptyTally()
  rmSync(dir, { recursive: true, force: true })
  return { code, output, tally, recording }
}

/** Counters that never counted are not in k6's summary. */
function readTally(file: string): Tally {
  const { metrics }: { metrics: Record<string, { count?: number } | undefined> } = JSON.parse(
    readFileSync(file, 'utf8'),
  )
  const tally = emptyTally()
  for (const name of COUNTS) tally[name] = metrics[`tally_${name}`]?.count ?? 0
  return tally
}

function headOf(wanted: Wanted, version: string, recording: Recording, config: Config): string {
  const rows = {
    scenario: `${wanted.scenario}, 100 % = ${wanted.rate} events/s, ${wanted.singles} % of them alone, main part ${wanted.seconds} s`,
    run: wanted.run,
    machine: `${cpus().length} x ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}; generator, stores and pools share it`,
    'load average': `${loadavg()[0]?.toFixed(1)} at the end, other work on the machine included`,
    door: `429 from ${config.softDepthJobs} jobs, 503 from ${config.hardDepthJobs}`,
    commit: commitOf(),
    date: new Date().toISOString().slice(0, 16),
    k6: `${version}, ${recording.generatorSeconds.toFixed(1)} s of CPU`,
  }
  return Object.entries(rows)
    .map(([name, value]) => `${name.padEnd(13)} ${value}\n`)
    .join('')
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rate: { type: 'string', default: '1000' },
      seconds: { type: 'string', default: '30' },
      'singles-percent': { type: 'string', default: '20' },
      keep: { type: 'boolean' },
      url: { type: 'string' },
      'write-key': { type: 'string' },
      'secret-key': { type: 'string' },
    },
  })
  const [scenario = ''] = positionals
  if (!scenarioNames().includes(scenario))
    throw fail('invalid_request', `name one of the tests: ${scenarioNames().join(', ')}`)
  const version = k6Version()
  const target = await openTarget(values)
  try {
    const wanted = {
      scenario,
      run: newRun(scenario),
      rate: values.rate,
      seconds: values.seconds,
      singles: values['singles-percent'],
    }
    const { code, output, tally, recording } = await runK6(wanted, target)
    const drainingFrom = performance.now()
    await waitUntilSettled(target, SETTLE_MS)
    const drained = `at rest ${((performance.now() - drainingFrom) / 1_000).toFixed(0)} s after the last request\n`
    const findings = await reconcile(target, wanted.run, tally)
    const verdict = `thresholds: ${code === 0 ? 'all met' : code === THRESHOLD_CROSSED ? 'crossed, see above' : `k6 ended with ${code}`}\n`
    const books = `\n${verdict}${drained}${reconcileTable(tally, findings)}`
    console.log(books)
    if (values.keep) {
      writeFileSync(
        join(RESULTS, `${scenario}.txt`),
        headOf(wanted, version, recording, target.config) + output.trimEnd() + books,
      )
      if (recording.csv !== '') writeFileSync(join(RESULTS, `${scenario}.csv`), recording.csv)
    }
    process.exitCode = code === 0 && findings.every(agrees) ? 0 : 1
  } finally {
    await target.close()
  }
}

await main().catch((error: unknown) => {
  console.error(error instanceof MillraceError ? error.detail : error)
  process.exitCode = 2
})
