// The figures in the papers are those of the data and of the simulator.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CAPACITY_COLUMNS, capacityRows } from '../../cli/scale/capacity-table.ts'
import capacity from '../../domain/capacity.json' with { type: 'json' }
import efficiency from '../../loadtest/results/efficiency.json' with { type: 'json' }
import profile from '../../loadtest/results/profile.json' with { type: 'json' }
import { simulate } from '../../loadtest/simulator/run.ts'
import { scenarios } from '../../loadtest/simulator/scenarios.ts'
import { ROOT } from '../support/source-tree.ts'

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`

test('the capacity table of README is what millrace scale capacity prints', () => {
  const section = read('README.md').split('## What it carries')[1]?.split('\n## ')[0] ?? ''
  const lines = section.split('\n').filter((text) => text.startsWith('|'))
  expect(lines).toEqual([line(CAPACITY_COLUMNS), '|---|---:|---:|---:|', ...capacityRows(capacity).map(line)])
  expect(section).toContain(`commit ${capacity.measured.commit}`)
})

test('the tables of more processes, shards and servers in loadtest/README.md are what was measured', () => {
  const section =
    read('loadtest/README.md').split('### More processes, more shards')[1]?.split('\n### ')[0] ?? ''
  const rows = section.split('\n').filter((text) => /^\| \d/.test(text))
  const { workers, shards, servers } = efficiency
  const lineOf = (count: number, { eventsPerSecond, sum }: { eventsPerSecond: number; sum: number }) =>
    line([String(count), eventsPerSecond.toLocaleString('en-US'), sum.toFixed(1)])
  expect(rows).toEqual([
    ...workers.rows.map((row) => lineOf(row.workers, row)),
    ...shards.rows.map((row) => lineOf(row.shards, row)),
    ...servers.rows.map((row) => lineOf(row.servers, row)),
  ])
  for (const { measured } of [workers, shards, servers]) expect(section).toContain(measured.commit)
})

test('the table of the profile in loadtest/README.md is what was measured, part by part', () => {
  const text = read('loadtest/README.md')
  expect(text).toContain(profile.measured.commit)
  for (const { phase, stage, microseconds, shares } of profile.rows) {
    const largest = Object.entries(shares)
      .filter(([part]) => part !== 'the rest')
      .slice(0, 5)
      .map(([part, share]) => `${part} ${(share * microseconds).toFixed(1)}`)
    expect(text).toContain(line([phase, stage, microseconds.toFixed(1), largest.join(', ')]))
  }
})

test('the scenarios in loadtest/README.md are what the simulator says', () => {
  const whole = (value: number) => Math.round(value).toLocaleString('en-US')
  const text = read('loadtest/README.md')
  for (const { name, seconds, curve, world } of scenarios(capacity)) {
    const { pools, refused, offered } = simulate(world, curve, seconds)
    const worst = pools.reduce((most, one) => (one.worstBacklogJobs > most.worstBacklogJobs ? one : most))
    const age = Math.max(...pools.map((one) => one.worstAgeSeconds))
    const sum = (of: (one: (typeof pools)[number]) => number) =>
      pools.reduce((total, one) => total + of(one), 0)
    expect(text).toContain(
      line([
        `\`${name}\``,
        worst.worstBacklogJobs < 1 ? '0' : `${whole(worst.worstBacklogJobs)} (${worst.pool})`,
        `${Math.round(age)} s`,
        `${sum((one) => one.minPods)}–${sum((one) => one.maxPods)}`,
        sum((one) => one.podHours).toFixed(1),
        `${((refused / offered) * 100).toFixed(2)} %`,
      ]),
    )
  }
})

test('every kept result says where it comes from, balances, and stands in loadtest/README.md', () => {
  const papers = read('loadtest/README.md')
  const files = readdirSync(join(ROOT, 'loadtest/results')).filter((file) => file.endsWith('.txt'))
  expect(files.length).toBeGreaterThan(0)
  for (const file of files) {
    const text = read(`loadtest/results/${file}`)
    for (const name of ['scenario', 'run', 'machine', 'load average', 'door', 'commit', 'date', 'k6'])
      expect(text, file).toMatch(new RegExp(`^${name} +\\S`, 'm'))
    const [, books = ''] = text.split(/^thresholds: /m)
    expect(books.match(/✓/g)?.length, file).toBeGreaterThanOrEqual(10)
    expect(books, file).not.toContain('✗')
    const accepted = /accepted ([\d,]+),/.exec(books)?.[1]
    const row = papers
      .split('\n')
      .find((one) => one.startsWith(`| [${file.replace('.txt', '')}](results/${file})`))
    expect(row?.split(' | ')[3], file).toBe(accepted)
  }
})
