// millrace lists against the API of a deployment with real servers: uploads of files and of standard input, and what they
// are refused for.
import { mkdtempSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApi, pagesOf } from '../../../cli/api-client.ts'
import { formatCount } from '../../../cli/table.ts'
import { LIST_LIMITS } from '../../../domain/list-file.ts'
import { type ApiServer, startApi } from '../../support/api-server.ts'
import { cliIo, runMillrace } from '../../support/cli.ts'
import { testWorld, type World } from '../../support/world.ts'

const dir = mkdtempSync(join(tmpdir(), 'millrace-lists-'))
const fileOf = (name: string, text: string) => {
  writeFileSync(join(dir, name), text)
  return join(dir, name)
}
let world: World
let api: ApiServer
let env: Record<string, string>
const millrace = (...args: string[]) => runMillrace(['lists', ...args], env)

beforeAll(async () => {
  world = await testWorld()
  api = await startApi(world)
  env = { MILLRACE_API_URL: api.url, MILLRACE_API_KEY: api.key, MILLRACE_DATA_DIR: world.config.dataDir }
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('a list is uploaded, shown, replaced from standard input and deleted', async () => {
  expect((await millrace()).out).toContain('There is no list yet')
  const file = fileOf('fair.csv', 'name,user_id\nA,p-1\nB,p-2\nB,p-2\nC,\n')
  expect(await millrace('upload', 'fair', file)).toEqual({
    code: 0,
    out: 'fair: 2 user ids (1 row said an id again, 1 row had none), version 1\n',
    err: '',
  })
  expect((await millrace('show', 'fair')).out).toMatch(/^SLUG +USER IDS +VERSION +CHANGED AT\nfair +2 +1 +2/)
  const piped = await runMillrace(['lists', 'upload', 'fair', '-', '--json'], env, {
    input: 'user_id\np-9\n',
  })
  expect(JSON.parse(piped.out)).toMatchObject({ slug: 'fair', count: 1, version: 2, rows: 1, skipped: 0 })
  expect(JSON.parse((await millrace('list', '--json')).out)).toMatchObject({ slug: 'fair', version: 2 })
  expect((await millrace('delete', 'fiar')).err).toContain('not_found: there is no list of this slug')
  expect((await millrace('delete', 'fiar')).err).toContain('did you mean fair?')
  expect((await millrace('delete', 'fair')).out).toContain('1 user id of fair would go. Nothing was done')
  expect((await millrace('delete', 'fair', '--yes')).out).toBe('fair is deleted.\n')
  expect((await millrace('show', 'fair')).code).toBe(1)
})

test('a large file streams with a bar in a terminal, and is all there', async () => {
  const ids = Array.from({ length: 30_000 }, (_, i) => `user-${i}`)
  const file = fileOf('large.csv', `user_id\n${ids.join('\n')}\n`)
  const { code, out } = await runMillrace(['lists', 'upload', 'large', file], env, { isTerminal: true })
  expect(code).toBe(0)
  const total = formatCount(Math.ceil(statSync(file).size / 1024))
  expect(out).toMatch(new RegExp(`KiB +█+ +${total} of ${total} .*done`))
  expect(out).toContain('large: 30,000 user ids, version 1\n')
})

test('a mistake is told with its line, also while the rest is still being sent, and the list stays', async () => {
  const filler = 'x'.repeat(200)
  const rest = Array.from({ length: 20_000 }, (_, i) => `user-${i},${filler}\n`).join('')
  const file = fileOf('wrong.csv', `user_id,note\nanna,"open" quote\n${rest}`)
  const { code, out, err } = await millrace('upload', 'large', file)
  expect([code, out]).toEqual([1, ''])
  expect(err).toMatch(/^millrace lists: malformed_csv: line 2: /)
  expect(JSON.parse((await millrace('show', 'large', '--json')).out)).toMatchObject({
    count: 30_000,
    version: 1,
  })
})

test('a file that is too large is refused, and one that is not there before anything is sent', async () => {
  const large = fileOf('too-large.csv', 'user_id\n')
  truncateSync(large, LIST_LIMITS.bytes + 1)
  const { code, err } = await millrace('upload', 'large', large)
  expect([code, err]).toEqual([1, expect.stringContaining('payload_too_large: a list has at most')])
  const missing = await millrace('upload', 'large', join(dir, 'none.csv'))
  expect([missing.code, missing.err]).toEqual([1, expect.stringContaining('there is no such file')])
  expect((await millrace('upload', 'large', dir)).err).toContain('is no file')
})

test('a list that a live segment asks about is not deleted', async () => {
  await api.post('/api/v1/segments', { slug: 's', name: 's', rule: { match: { k: 'list', list: 'large' } } })
  const { code, err } = await millrace('delete', 'large', '--yes')
  expect([code, err]).toEqual([1, expect.stringContaining('conflict: ')])
})

test('a reader that is told to wait asks again, and a page that breaks off is not taken for the last', async () => {
  const answers = [
    { status: 429, body: { code: 'overloaded', detail: 'busy' } },
    { status: 200, body: { data: [1, 2], nextCursor: 'more' } },
    { status: 503, body: { code: 'unavailable', detail: 'gone' } },
    { status: 200, body: { data: [3], nextCursor: null } },
    { status: 404, body: { code: 'not_found', detail: 'no such thing' } },
  ]
  const asked: string[] = []
  const server = createServer((request, reply) => {
    asked.push(request.url ?? '')
    const { status, body } = answers[asked.length - 1] ?? { status: 500, body: {} }
    reply.writeHead(status, { 'content-type': 'application/json', 'retry-after': '0.01' })
    reply.end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = openApi(cliIo({ ...env, MILLRACE_API_URL: `http://127.0.0.1:${port}` }).io)
  const rows: number[] = []
  for await (const page of pagesOf<number>(client, '/x', { query: { knownAt: 'a+b' }, limit: 700 }))
    rows.push(...page)
  expect(rows).toEqual([1, 2, 3])
  const first = '/x?knownAt=a%2Bb&limit=500'
  const second = '/x?knownAt=a%2Bb&limit=500&cursor=more'
  expect(asked).toEqual([first, first, second, second])
  await expect(client.get('/y')).rejects.toMatchObject({ code: 'not_found' })
  server.close()
})
