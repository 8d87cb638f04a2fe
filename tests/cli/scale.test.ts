// millrace scale plan: its table, its JSON, and what it says when it is used wrongly. No servers are needed.
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runMillrace } from '../support/cli.ts'

const env = { MILLRACE_DATA_DIR: join(tmpdir(), 'millrace-runs-nowhere') }
const plan = (...args: string[]) => runMillrace(['scale', 'plan', ...args], env)

test('the plan names pools, stores, cost, prices and where the figures come from', async () => {
  const { code, out } = await plan('--events-per-second', '200000', '--retention-days', '30')
  expect(code).toBe(0)
  expect(out).toMatch(/^For 200,000 events\/s at the peak/)
  expect(out).toMatch(/^POOL +REPLICAS +EVENTS\/S EACH$/m)
  expect(out).toMatch(/^persist +[3-9] +\d\d,\d{3}$/m)
  expect(out).toMatch(/^Redis +\d cores, maxmemory [\d.]+ GiB$/m)
  expect(out).toMatch(/MILLRACE_SOFT_DEPTH_JOBS=\d+ MILLRACE_HARD_DEPTH_JOBS=\d+/)
  expect(out).toMatch(/^Postgres +\d+ cores, \d+ GiB, \d+ connections$/m)
  expect(out).toMatch(/^ +[\d.,]+ [GT]iB of disk for 30 days$/m)
  expect(out).toMatch(/^total +[\d,]+$/m)
  expect(out).toMatch(/podVcpuHour=0\.04/)
  expect(out).toMatch(/^Measured on .*, commit \w+/m)
})

test('prices that are given are used and shown', async () => {
  const costOf = async (...args: string[]) =>
    JSON.parse((await plan('--events-per-second', '10000', '--json', ...args)).out)
  const usual = await costOf()
  const twice = await costOf('--prices', 'podVcpuHour=0.08,podGibHour=0.009')
  expect(twice.prices).toMatchObject({ podVcpuHour: 0.08, redisGibHour: usual.prices.redisGibHour })
  expect(twice.monthlyCost.pods / usual.monthlyCost.pods).toBeCloseTo(2, 2)
  expect(twice.monthlyCost.redis).toBe(usual.monthlyCost.redis)
})

test('shards and retention come from the configuration unless they are given', async () => {
  const read = async (extra: Record<string, string>, ...args: string[]) =>
    JSON.parse(
      (
        await runMillrace(['scale', 'plan', '--events-per-second', '1000', '--json', ...args], {
          ...env,
          ...extra,
        })
      ).out,
    ).load
  expect(await read({ MILLRACE_SHARDS: '64', MILLRACE_RETENTION_DAYS: '90' })).toMatchObject({
    shards: 64,
    retentionDays: 90,
  })
  expect(await read({ MILLRACE_SHARDS: '64' }, '--shards', '8')).toMatchObject({ shards: 8 })
})

test.each([
  [[], '--events-per-second N is needed'],
  [['--events-per-second', '0'], '--events-per-second must be a whole number from 1'],
  [['--events-per-second', '10', '--average-events-per-second', '11'], 'from 1 to 10, not 11'],
  [
    ['--events-per-second', '10', '--singles-percent', '101'],
    '--singles-percent must be a whole number from 0',
  ],
  [['--events-per-second', '10', '--prices', 'podVcpuHours=1'], 'did you mean podVcpuHour?'],
  [['--events-per-second', '10', '--prices', 'podVcpuHour=cheap'], 'must be dollars, as in podVcpuHour=0.05'],
  [['--event-per-second', '10'], 'Did you mean --events-per-second?'],
])('scale plan %j is used wrongly: exit code 2, and the mend', async (args, text) => {
  const { code, err, out } = await plan(...args)
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain(text)
})

test('capacity shows what one core of each carries, and where that was measured', async () => {
  const { code, out } = await runMillrace(['scale', 'capacity'], env)
  expect(code).toBe(0)
  expect(out).toMatch(/^POOL OR STORE +CPU +A SECOND AND CORE +PLANNED WITH$/m)
  for (const name of ['collector', 'ingest', 'persist', 'segment', 'archive', 'deliver', 'Postgres', 'Redis'])
    expect(out).toMatch(new RegExp(`^${name}.* [\\d.,]+ µs.* [\\d,]+ +[\\d,]+$`, 'm'))
  expect(out).toMatch(/^Measured on .*, commit \w+/m)
})

test('scale without plan says what there is', async () => {
  expect(await runMillrace(['scale'], env)).toMatchObject({
    code: 2,
    err: expect.stringContaining('scale plan'),
  })
})
