// Rules, dashboards and their papers against the table of metrics and each other, without anything running; promtool says
// whether the rules do what their own tests expect.
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { RUNNABLE } from '../../../cli/run-process.ts'
import { CONFIG_TABLE } from '../../../runtime/config.ts'
import { type MetricRow, SECONDS } from '../../../runtime/instruments.ts'
import { DEPLOYMENT_METRICS, PROCESS_METRICS } from '../../../runtime/metrics.ts'
import {
  ALERTS,
  absolute,
  DASHBOARD_FILES,
  hasKubectl,
  hasPrometheus,
  PANELS,
  RULE_FILES,
  RULE_TEST_FILES,
  RULES,
} from '../../support/observability.ts'
import { groupedBy, selectorsOf } from '../../support/promql.ts'
import { isThere, readProjectFile } from '../../support/source-tree.ts'

const TABLE: MetricRow[] = Object.values({ ...PROCESS_METRICS, ...DEPLOYMENT_METRICS })
const RECORDED = new Set(RULES.flatMap((rule) => rule.record ?? []))
/** Given by Prometheus to what it scrapes, and to its own series of alerts. */
const OF_PROMETHEUS = ['job', 'instance', 'le', 'alertname', 'alertstate']
const ALL_LABELS = new Set([...TABLE.flatMap((row) => row.labels), 'slo', ...OF_PROMETHEUS])
const EXPRESSIONS = [...RULES.map(({ expr }) => expr), ...PANELS.map(({ expr }) => expr)]

/** The labels a metric may have; undefined = there is no such metric. */
function labelsOf(metric: string): Set<string> | undefined {
  if (RECORDED.has(metric) || metric === 'ALERTS') return ALL_LABELS
  const row = TABLE.find(({ name, kind }) =>
    kind === 'histogram' ? new RegExp(`^${name}_(bucket|count|sum)$`).test(metric) : name === metric,
  )
  return row === undefined ? undefined : new Set([...row.labels, ...OF_PROMETHEUS])
}

test('every metric and label that is asked for is in the table or recorded', () => {
  const unknown = EXPRESSIONS.flatMap((expr) => [
    ...selectorsOf(expr).flatMap(({ metric, labels }) => {
      const known = labelsOf(metric)
      if (known === undefined) return [metric]
      return labels.filter((label) => !known.has(label)).map((label) => `${metric}{${label}}`)
    }),
    ...groupedBy(expr).filter((label) => !ALL_LABELS.has(label)),
  ])
  expect(EXPRESSIONS.length).toBeGreaterThan(100)
  expect(unknown).toEqual([])
})

test('a misspelt metric or label would be found', () => {
  expect(selectorsOf('sum by (pol) (rate(millrace_jobs_totl{poool="a,b"}[5m])) > on (x) 3 * y')).toEqual([
    { metric: 'millrace_jobs_totl', labels: ['poool'], text: 'millrace_jobs_totl{poool="a,b"}' },
    { metric: 'y', labels: [], text: 'y' },
  ])
  expect(groupedBy('sum by (pol) (a) / on (job, instance) b')).toEqual(['pol', 'job', 'instance'])
  expect(labelsOf('millrace_jobs_totl')).toBeUndefined()
})

test('what is recorded is used', () => {
  const used = new Set(EXPRESSIONS.flatMap((expr) => selectorsOf(expr).map(({ metric }) => metric)))
  expect([...RECORDED].filter((name) => !used.has(name))).toEqual([])
})

test('an alert says how bad it is, what it is, and where to read on', () => {
  for (const { alert, labels, annotations } of ALERTS) {
    expect(['page', 'ticket'], alert).toContain(labels?.severity)
    expect(annotations?.summary, alert).toMatch(/\S/)
    expect(annotations?.description, alert).toMatch(/\S/)
    expect(annotations?.runbook_url).toBe(`docs/RUNBOOK.md#${alert.toLowerCase()}`)
  }
  expect(new Set(ALERTS.map(({ alert }) => alert)).size).toBe(ALERTS.length)
})

test('every alert is seen quiet and seen ringing in the tests of the rules', () => {
  type Case = { alertname: string; exp_alerts?: unknown[] }
  const cases = RULE_TEST_FILES.flatMap((path) => {
    const file: { tests: { alert_rule_test?: Case[] }[] } = parse(readProjectFile(path))
    return file.tests.flatMap((one) => one.alert_rule_test ?? [])
  })
  const names = (isRinging: boolean) =>
    new Set(
      cases.filter((one) => (one.exp_alerts ?? []).length > 0 === isRinging).map((one) => one.alertname),
    )
  const alerts = ALERTS.map(({ alert }) => alert)
  expect(alerts.filter((alert) => !names(true).has(alert))).toEqual([])
  expect(alerts.filter((alert) => !names(false).has(alert))).toEqual([])
})

test('a dashboard is found by its file name, and each of its panels asks the Prometheus that is chosen', () => {
  for (const path of DASHBOARD_FILES) {
    const { uid, panels, templating } = JSON.parse(readProjectFile(path))
    expect(path).toContain(`/${uid}.json`)
    expect(new Set(panels.map((panel: { id: number }) => panel.id)).size).toBe(panels.length)
    const asking = panels.filter((panel: { type: string }) => panel.type !== 'row')
    for (const { title, datasource, targets } of asking)
      for (const source of [
        datasource,
        ...targets.map((target: { datasource: unknown }) => target.datasource),
      ])
        expect(source, title).toEqual({
          type: 'prometheus',
          uid: expect.stringMatching(/^\$\{datasource\}$/),
        })
    const names: string[] = templating.list.map((variable: { name: string }) => variable.name)
    const asked = JSON.stringify(panels).match(/\$\{?(?!__)\w+/g) ?? []
    expect(asked.filter((name) => !names.includes(name.replace(/\W/g, '')))).toEqual([])
    for (const { query } of templating.list.filter(
      (variable: { type: string }) => variable.type === 'query',
    )) {
      const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(query.query) ?? []
      expect(labelsOf(metric), query.query).toContain(label)
    }
  }
})

test('a service level is judged at a bound of its histogram', () => {
  const text = readProjectFile('k8s/observability/rules/slo.rules.yaml')
  const bounds = [...text.matchAll(/le="([\d.]+)"/g)].map((match) => Number(match[1]))
  expect(bounds).toEqual([0.1, 0.5, 1])
  expect(bounds.filter((bound) => !SECONDS.includes(bound))).toEqual([])
})

test('the scrape configuration names every service and the ports it has in a container', () => {
  const [pools, exporter] = parse(readProjectFile('k8s/observability/prometheus.yaml')).scrape_configs
  const [dns] = pools.dns_sd_configs
  expect(dns.names).toEqual(RUNNABLE)
  expect(String(dns.port)).toBe(/MILLRACE_METRICS_PORT=(\d+)/.exec(readProjectFile('Dockerfile'))?.[1])
  expect(exporter.static_configs[0].targets).toEqual([`exporter:${CONFIG_TABLE.exporterPort.default}`])
})

test('the ConfigMaps hold every file of rules and dashboards', () => {
  const { configMapGenerator } = parse(readProjectFile('k8s/observability/kustomization.yaml'))
  const files: string[] = configMapGenerator.flatMap((map: { files: string[] }) => map.files)
  const paths = files.map((file) => `k8s/observability/${file}`)
  expect(paths.filter((path) => !isThere(path))).toEqual([])
  expect(paths.sort()).toEqual([...RULE_FILES, ...DASHBOARD_FILES].sort())
})

test.skipIf(!hasKubectl)('kustomize makes the ConfigMaps, and Grafana’s sidecar finds the dashboards', () => {
  const output = execFileSync('kubectl', ['kustomize', absolute('k8s/observability')], { encoding: 'utf8' })
  const maps = parseAllDocuments(output).map((document) => document.toJS())
  expect(maps.map((map) => [map.kind, map.metadata.labels, Object.keys(map.data).length])).toEqual([
    ['ConfigMap', { grafana_dashboard: '1' }, DASHBOARD_FILES.length],
    ['ConfigMap', undefined, RULE_FILES.length],
  ])
})

test.skipIf(!hasPrometheus)('promtool accepts the rules and the configuration', () => {
  const check = (...args: string[]) => execFileSync('promtool', ['check', ...args], { encoding: 'utf8' })
  expect(check('rules', ...RULE_FILES.map(absolute))).not.toContain('FAILED')
  expect(check('config', absolute('k8s/observability/prometheus.yaml'))).toContain('SUCCESS')
})

test.skipIf(!hasPrometheus)(
  'promtool finds that each alert rings when it should and not before',
  () => {
    const output = execFileSync('promtool', ['test', 'rules', ...RULE_TEST_FILES.map(absolute)], {
      encoding: 'utf8',
    })
    expect(output.match(/SUCCESS/g)).toHaveLength(RULE_TEST_FILES.length)
  },
  120_000,
)
