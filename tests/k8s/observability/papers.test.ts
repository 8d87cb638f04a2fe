// The runbook and the service levels against the rules, the command line and the API: what they name is there.
import { expect, test } from 'vitest'
import { COMMANDS } from '../../../cli/help.ts'
import type { MetricRow } from '../../../runtime/instruments.ts'
import { DEPLOYMENT_METRICS, PROCESS_METRICS } from '../../../runtime/metrics.ts'
import { ALERTS, RULES } from '../../support/observability.ts'
import { readProjectFile, sourceFiles } from '../../support/source-tree.ts'

const RUNBOOK = readProjectFile('docs/RUNBOOK.md')
const LEVELS = readProjectFile('docs/SERVICE-LEVELS.md')
const BOTH = RUNBOOK + LEVELS
const alerts = new Set(ALERTS.map(({ alert }) => alert))

test('every alert has its section in the runbook, and every section its alert', () => {
  const [, ...sections] = (/^## Alerts$.*?(?=^## )/ms.exec(RUNBOOK)?.[0] ?? '').split(/^### /m)
  expect(sections.map((text) => /^\S+/.exec(text)?.[0]).sort()).toEqual(
    ALERTS.map(({ alert }) => alert).sort(),
  )
  for (const text of sections)
    expect(text.match(/^\*\*(Means|Look|Mend):\*\* /gm), text.slice(0, 40)).toEqual([
      '**Means:** ',
      '**Look:** ',
      '**Mend:** ',
    ])
})

test('an alert that another section points to exists', () => {
  const named = BOTH.match(/\bMillrace[A-Z]\w+/g) ?? []
  expect(named.length).toBeGreaterThan(alerts.size)
  expect(named.filter((name) => !alerts.has(name))).toEqual([])
})

test('every option of a command that the runbook gives exists', () => {
  const given = [...RUNBOOK.matchAll(/`npx millrace ([a-z]+)([^`]*)`/g)]
  expect(given.length).toBeGreaterThan(20)
  const unknown = given.flatMap(([text, name, rest = '']) => {
    const command = COMMANDS.find((candidate) => candidate.name === name)
    const options =
      command !== undefined && 'options' in command ? command.options.map(([option]) => option) : []
    return (rest.match(/--[a-z]+/g) ?? [])
      .filter((flag) => !options.some((option) => option.split(' ')[0] === flag))
      .map((flag) => `${text}: ${flag}`)
  })
  expect(unknown).toEqual([])
})

test('every path of the API that the runbook gives is a route', () => {
  const code = sourceFiles()
    .filter((file) => file.path.startsWith('api/'))
    .map((file) => file.text)
    .join('\n')
  const given = [...RUNBOOK.matchAll(/`(?:GET|POST) (\/api\/v1\/[^`?]+)/g)].map(([, path = '']) => path)
  expect(given.length).toBeGreaterThan(2)
  expect(given.filter((path) => !code.includes(`'${path.replace('/ID', '/:failedId')}'`))).toEqual([])
})

test('every metric that the papers name is in the table or recorded', () => {
  const rows: MetricRow[] = Object.values({ ...PROCESS_METRICS, ...DEPLOYMENT_METRICS })
  const known = new Set([...rows.map((row) => row.name), ...RULES.flatMap(({ record }) => record ?? [])])
  const named = BOTH.match(/\b(?:\w+:)?(?:millrace|process)_\w+(?::\w+)?/g) ?? []
  expect(named.length).toBeGreaterThan(10)
  expect(named.filter((name) => !known.has(name))).toEqual([])
})

test('docs/SERVICE-LEVELS.md promises what the rules measure', () => {
  const page = readProjectFile('docs/SERVICE-LEVELS.md')
  const promised = [...page.matchAll(/^\| `([a-z-]+)` \| ([\d.]+) % .*?(?:within ([\d.]+ m?s))? \|/gm)].map(
    ([, slo, percent, bound = '']) => [slo, Number(percent), bound],
  )
  const objectives = RULES.filter((rule) => rule.record === 'slo:millrace_objective:ratio')
  const bad = RULES.filter((rule) => rule.record === 'slo:millrace_bad:rate5m')
  const measured = objectives.map(({ labels, expr }) => {
    const of = bad.find((rule) => rule.labels?.slo === labels?.slo)
    const seconds = /le="([\d.]+)"/.exec(of?.expr ?? '')?.[1]
    const bound =
      seconds === undefined ? '' : Number(seconds) < 1 ? `${Number(seconds) * 1000} ms` : `${seconds} s`
    return [labels?.slo, Number(/[\d.]+/.exec(expr)?.[0]) * 100, bound]
  })
  expect(measured).toHaveLength(4)
  expect(promised).toEqual(measured)
})
