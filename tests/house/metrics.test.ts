// The table of metrics: its page, its names, and that each of its rows is fed by some code.
import { expect, test } from 'vitest'
import type { MetricRow } from '../../runtime/instruments.ts'
import { DEPLOYMENT_METRICS, PROCESS_METRICS } from '../../runtime/metrics.ts'
import { REGISTRY } from '../../workers/registry.ts'
import { metricsPage } from '../support/metrics-page.ts'
import { isProduction, sourceFiles } from '../support/source-tree.ts'

const TABLE: Record<string, MetricRow> = { ...PROCESS_METRICS, ...DEPLOYMENT_METRICS }
const rows = Object.values(TABLE)

test('docs/METRICS.md is the table of metrics', async () => {
  const page = metricsPage([
    {
      title: 'What a process says of its own work',
      about:
        'Sum these over processes. Counters with known label values begin at 0, so the first failure shows in a rate.',
      rows: PROCESS_METRICS,
    },
    {
      title: 'What the exporter says of the deployment',
      about:
        'One exporter runs a deployment. Depth, age and memory are as of at most three seconds ago, the rest as of\n`MILLRACE_EXPORTER_LOOK_MS` ago; while a store does not answer its metrics are absent.',
      rows: DEPLOYMENT_METRICS,
    },
  ])
  await expect(page).toMatchFileSnapshot('../../docs/METRICS.md')
})

test('names follow the conventions of Prometheus, and none is given twice', () => {
  expect(new Set(rows.map((row) => row.name)).size).toBe(rows.length)
  const wrong = rows.filter(({ name, kind, unit }) => {
    if (!/^(millrace|process)_[a-z]+(_[a-z]+)*$/.test(name)) return true
    if ((kind === 'counter') !== name.endsWith('_total')) return true
    if (kind === 'histogram' && !name.endsWith('_seconds')) return true
    return unit === 'bytes' && !name.endsWith('_bytes')
  })
  expect(wrong).toEqual([])
})

test('who serves a metric is a pool or a server', () => {
  const known = [
    ...REGISTRY.map((row) => row.name),
    'api',
    'exporter',
    'every process',
    'pools that take jobs',
  ]
  expect(rows.flatMap((row) => row.from.split(', ')).filter((name) => !known.includes(name))).toEqual([])
})

test('every metric is fed by production code', () => {
  const code = sourceFiles()
    .filter((file) => isProduction(file.path) && file.path !== 'runtime/metrics.ts')
    .map((file) => file.text)
    .join('\n')
  const feeding = (key: string) => new RegExp(`\\b${key}\\.(inc|set|observe|startTimer|labels)\\(`)
  expect(Object.keys(TABLE).filter((key) => !feeding(key).test(code))).toEqual([])
})
