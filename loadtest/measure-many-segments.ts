// `node loadtest/measure-many-segments.ts [rounds]`: what an event costs the engine with one and with two hundred live segments, and
// whether the ratios are what is promised. On a Postgres of its own.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { machineText } from '../cli/bench/own-servers.ts'
import { costOfManySegments, LIMITS } from '../cli/bench/segments/many.ts'
import { startPostgres } from '../cli/local/postgres.ts'
import { table } from '../cli/table.ts'
import { commitOf } from './commit.ts'

const rounds = Number(process.argv[2] ?? 5)
const dir = mkdtempSync(join(tmpdir(), 'millrace-many-'))
const postgres = await startPostgres({ dir, port: 0, buffersMb: 512, log: () => {} })
try {
  const rows = await costOfManySegments({
    serverUrl: postgres.url,
    postgresPid: postgres.pid,
    rounds,
    say: (text) => console.log(`  ${text}`),
  })
  console.log(
    table(
      [
        { title: 'SEGMENTS' },
        { title: 'PEOPLE A PASS', align: 'right' },
        { title: 'µs AN EVENT', align: 'right' },
        { title: 'CPU, ENGINE', align: 'right' },
        { title: 'CPU, POSTGRES', align: 'right' },
        { title: 'TIMES', align: 'right' },
        { title: 'PROMISED', align: 'right' },
      ],
      rows.map((row) => [
        ...[row.load, String(row.profilesAPass)],
        ...[row.microsecondsAnEvent, row.engineCpu, row.postgresCpu].map((one) => one.toFixed(0)),
        row.ratio.toFixed(2),
        row.load === 'one' ? '' : `≤ ${LIMITS[row.load]}`,
      ]),
    ),
  )
  console.log(`${machineText()}, commit ${commitOf()}`)
} finally {
  await postgres.destroy()
  rmSync(dir, { recursive: true, force: true })
}
