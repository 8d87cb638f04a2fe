// What every command line has in common: help, mistakes and exit codes. No servers are needed.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LIST_VERBS } from '../../cli/commands/lists.ts'
import { METRIC_VERBS } from '../../cli/commands/metrics.ts'
import { SEGMENT_VERBS } from '../../cli/commands/segments.ts'
import { COMMANDS } from '../../cli/help.ts'
import { LISTS_HELP, METRICS_HELP, SEGMENTS_HELP } from '../../cli/segments/help.ts'
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
  [SEGMENTS_HELP, SEGMENT_VERBS],
  [LISTS_HELP, LIST_VERBS],
  [METRICS_HELP, METRIC_VERBS],
])('the help of $name names all its commands with what they take', async ({ name, commands }, verbs) => {
  const { out } = await millrace('help', name)
  const taken = Object.entries(verbs).map(([verb, { takes }]) => `${verb} ${takes}`.trim())
  expect(commands.map(([usage]) => usage)).toEqual(taken)
  for (const [usage, why] of commands)
    expect(out).toMatch(new RegExp(`^  ${usage.replace(/[[\]]/g, '.')} +${why.replace(/[()]/g, '.')}$`, 'm'))
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
  [['segments', 'explian', 'a', 'b'], 'did you mean explain?'],
  [['segments', 'dance'], 'segments cannot dance: list, show, '],
  [['segments', 'show'], 'SLUG is missing'],
  [['segments', 'explain', 'big-spenders'], 'USER is missing'],
  [
    ['segments', 'explain', 'big-spenders', 'anna', '--at', 'tomorrow'],
    '--at must be an instant with its zone',
  ],
  [['segments', 'members', 'a', '--known-at', '2026-11-29T12:00'], '--known-at must be an instant'],
  [['segments', 'members', 'a', '--csv', 'x', '--json'], 'either --csv or --json'],
  [['segments', 'create', 'gold'], '--rule FILE'],
  [['segments', 'preview', '--seconds', '90'], '--seconds must be a whole number from 1 to 20'],
  [['segments', 'changes'], '--user USER'],
  [['segments', 'difference', 'a'], '--from TIME'],
  [['lists', 'upload', 'fair'], 'FILE is missing'],
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

test.each([['segments'], ['lists', 'list']])(
  'with no API known, %s says so in one sentence with the mend',
  async (...args) => {
    const { code, err } = await millrace(...args)
    expect(code).toBe(1)
    expect(err).toMatch(
      /does not run here \(.*\): start it .*, or set MILLRACE_API_URL and MILLRACE_API_KEY\n$/,
    )
    const noKey = await runMillrace(args, { ...env, MILLRACE_API_URL: 'http://127.0.0.1:1' })
    expect(noKey.err).toContain('MILLRACE_API_KEY must hold a secret key')
  },
)

test('an API that does not answer, or is none of ours, is named without the key', async () => {
  const asked: string[] = []
  const stranger = createServer((request, reply) => {
    asked.push(request.url ?? '')
    reply.writeHead(404, { 'content-type': 'text/html' }).end('<h1>Not here</h1>')
  })
  await once(stranger.listen(0, '127.0.0.1'), 'listening')
  const { port } = stranger.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/base/`
  const elsewhere = { ...env, MILLRACE_API_KEY: 'mk_sec_hush', MILLRACE_API_URL: url }
  const found = await runMillrace(['segments', 'show', 'a b/c'], elsewhere)
  stranger.close()
  stranger.closeAllConnections()
  expect(found.err).toContain(`127.0.0.1:${port} answers (404), but not as Millrace does`)
  expect(asked).toEqual(['/base/api/v1/segments/a%20b%2Fc'])
  const { code, err } = await runMillrace(['segments'], elsewhere)
  expect(code).toBe(1)
  expect(err).toContain(`the API does not answer at 127.0.0.1:${port} (ECONNREFUSED): is it running?`)
  expect(`${found.err}${err}`).not.toContain('hush')
  expect(await runMillrace(['segments', 'show', '..'], elsewhere)).toMatchObject({
    code: 2,
    err: expect.stringContaining('".." is no name'),
  })
})

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
