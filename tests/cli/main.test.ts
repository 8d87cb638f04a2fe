// What every command line has in common: help, mistakes and exit codes. No servers are needed.
import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { COMMANDS } from '../../cli/help.ts'
import { runMillrace } from '../support/cli.ts'

const env = { MILLRACE_DATA_DIR: mkdtempSync(join(tmpdir(), 'millrace-cli-')) }
const millrace = (...args: string[]) => runMillrace(args, env)

test.each([[[]], [['help']], [['--help']]])('millrace %j lists every command', async (args) => {
  const { code, out } = await millrace(...args)
  expect(code).toBe(0)
  for (const { name, summary } of COMMANDS) expect(out).toMatch(new RegExp(`^  ${name} +${summary}$`, 'm'))
})

test.each(COMMANDS.map(({ name }) => name))('%s --help shows its usage and examples', async (name) => {
  const { code, out } = await millrace(name, '--help')
  expect(code).toBe(0)
  expect(out).toContain(`Usage: millrace ${name}`)
  expect(out).toContain(`Examples:\n  millrace ${name}`)
  expect(await millrace('help', name)).toEqual({ code, out, err: '' })
})

test.each([
  [['statsu'], 'did you mean status?'],
  [['xyzzy'], 'millrace help lists them'],
  [['status', '--wach'], 'Did you mean --watch?'],
  [['status', 'now'], 'now is one argument too many'],
  [['pause'], 'name a pool or a queue'],
  [['replay', '--limit', '0'], '--limit must be a whole number from 1'],
  [['replay', '--since', 'yesterday'], '--since must be a time'],
  [['keys', 'crate'], 'did you mean create?'],
  [['keys', 'create'], '--source NAME'],
  [['keys', 'create', '--source', 'a', '--secret'], '--source NAME'],
  [['keys', 'create', '--source', 'a', '--origins', 'shop.example'], 'not an origin'],
  [['keys', 'create', '--source', 'a', '--ips', '10.0.0.0/33'], 'CIDR'],
  [['keys', 'create', '--source', 'a', '--rate', '1.5'], '--rate must be a whole number'],
  [['keys', 'revoke'], 'whole number'],
  [['autoscale', '--max-processes', '0'], '--max-processes must be a whole number from 1'],
  [['autoscale', '--scale-down-after', 'soon'], '--scale-down-after must be a whole number from 0'],
  [['config'], 'config print'],
])('%j is used wrongly: exit code 2, and the mend', async (args, text) => {
  const { code, err, out } = await millrace(...args)
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain(text)
})

test.each([['status'], ['autoscale'], ['keys'], ['tail'], ['replay'], ['migrate'], ['pause', 'ingest']])(
  'with nothing running, %s says so in one sentence with the mend',
  async (...args) => {
    const { code, err } = await millrace(...args)
    expect(code).toBe(1)
    expect(err).toMatch(/Millrace does not run here \(.*\): start it with npm start, or set DATABASE_URL/)
    expect(err.trim().split('\n')).toHaveLength(1)
  },
)

test('a server that does not answer is named without its password', async () => {
  const unreachable = {
    ...env,
    DATABASE_URL: 'postgres://me:pa55word@127.0.0.1:1/x',
    REDIS_URL: 'redis://:pa55word@127.0.0.1:1',
  }
  const { code, err } = await runMillrace(['status'], unreachable)
  expect(code).toBe(1)
  expect(err).toContain('Postgres does not answer at 127.0.0.1:1')
  expect(err).not.toContain('pa55word')
})

test('config print shows every key and no secret', async () => {
  const { code, out } = await runMillrace(['config', 'print'], { ...env, MILLRACE_SECRET: 'hush-hush' })
  expect(code).toBe(0)
  expect(out).toMatch(/^MILLRACE_SECRET +\(set\) /m)
  expect(out).toMatch(/^MILLRACE_SHARDS +0 /m)
  expect(out).not.toContain('hush-hush')
})

test('a mistake in the environment is told with its name and reason', async () => {
  const { code, err } = await runMillrace(['config', 'print'], {
    ...env,
    MILLRACE_SHARDS: '7',
    MILLRACE_LOCK_MS: 'x',
  })
  expect(code).toBe(1)
  expect(err).toContain('MILLRACE_SHARDS must divide 1024')
  expect(err).toContain('MILLRACE_LOCK_MS is not a whole number')
})

test('as a program it exits with its code when it is done', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['cli/main.ts', ...args], {
      encoding: 'utf8',
      env: { ...process.env, ...env },
    })
  expect(run('--version')).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^millrace \d+\.\d+\.\d+, node v/),
  })
  expect(run('nonsense')).toMatchObject({ status: 2 })
  expect(run('status')).toMatchObject({ status: 1 })
})
