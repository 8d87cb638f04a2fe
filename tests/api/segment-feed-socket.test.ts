// The feed over a WebSocket: the same messages, mistakes answered before the connection is one, and its end with a code. And
// that no other path, nor any other wish to upgrade, is touched by it.
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { addPeople, addSegment, changeOf, writeAll } from '../support/feed-writer.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const pace = { heartbeatMs: 200, checkMs: 100, slowMs: 5000 }
let world: World
let api: ApiServer
let people: number[]
beforeAll(async () => {
  world = await testWorld()
  people = await addPeople(world.servers, 40)
  await addSegment(world.servers, 'gold')
  api = await startApi(world, { feedPace: pace, collector: true })
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

// biome-ignore lint/suspicious/noExplicitAny: messages are read member by member in assertions
type Told = { event: string; id?: string; data?: any }

function open(server: ApiServer, query = '', key = server.key) {
  // Node's own client takes headers, which the standard's does not.
  const options = { headers: { authorization: `Bearer ${key}` } } as unknown as string[]
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/v1/segment-feed${query}`, options)
  const told: Told[] = []
  const closed = new Promise<number>((resolve) => {
    socket.addEventListener('close', ({ code }) => resolve(code))
  })
  socket.addEventListener('message', ({ data }) => told.push(JSON.parse(String(data))))
  const opened = new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve())
    socket.addEventListener('error', () => reject(new Error('refused')))
  })
  const changes = () => told.filter(({ event }) => event === 'change').map(({ data }) => data)
  const lastId = () => told.findLast(({ id }) => id !== undefined)?.id
  return { socket, told, closed, opened, changes, lastId }
}

const write = (version: number) =>
  writeAll(
    world.servers,
    people.map((id) => changeOf(id, { version })),
  )

test('changes come by WebSocket, and it goes on after the last id', async () => {
  const feed = open(api)
  await feed.opened
  await write(1)
  await waitFor(() => feed.changes().length === 40)
  expect(feed.changes()[0]).toMatchObject({ slug: 'gold', op: 'enter', version: 1, metrics: null })
  const lastId = feed.lastId()
  feed.socket.close()
  await feed.closed
  await write(2)
  const next = open(api, `?after=${lastId}&segment=gold`)
  await waitFor(() => next.changes().length === 40)
  expect(new Set(next.changes().map(({ version }) => version))).toEqual(new Set([2]))
  // Silence is broken by a position now and then; the client's answers keep it open.
  await new Promise((resolve) => setTimeout(resolve, 900))
  expect(next.socket.readyState).toBe(WebSocket.OPEN)
  next.socket.close()
})

test('counters come by WebSocket too', async () => {
  const feed = open(api, '?counters=true')
  await waitFor(() => feed.told.length === 1)
  expect(feed.told[0]?.event).toBe('counters')
  expect(feed.told[0]?.data.segments).toContainEqual({
    segment: 1,
    slug: 'gold',
    entered: 0,
    left: 0,
    members: 40,
  })
  feed.socket.close()
})

test('without a key, or with a mistake, there is no WebSocket', async () => {
  await expect(open(api, '', 'mk_sec_wrong').opened).rejects.toThrow('refused')
  await expect(open(api, '?segment=none').opened).rejects.toThrow('refused')
  expect(await upgrade('/api/v1/segment-feed', 'websocket')).toMatch(/^HTTP\/1\.1 401 /)
})

test('a stopping process says so and closes with code 1012', async () => {
  const other = await startApi(world, { feedPace: pace })
  const feed = open(other)
  await feed.opened
  await other.close()
  expect(await feed.closed).toBe(1012)
  expect(feed.told.at(-1)).toEqual({ event: 'end', data: { reason: 'stopping' } })
})

test('a wish to upgrade to anything else, or elsewhere, is passed over, and the body is read', async () => {
  const body = JSON.stringify({ userId: 'u', event: 'Viewed' })
  expect(await upgrade('/v1/track', 'h2c', body)).toMatch(/^HTTP\/1\.1 401 /)
  expect(await upgrade('/api/v1/segments', 'websocket')).toMatch(/^HTTP\/1\.1 401 /)
  expect(await upgrade('/api/v1/segment-feed', 'h2c')).toMatch(/^HTTP\/1\.1 401 /)
})

/** The first line and the rest of the answer to a bare request that wishes to upgrade. */
function upgrade(path: string, to: string, body?: string): Promise<string> {
  const { port } = new URL(api.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
      if (answer.includes('\r\n\r\n')) socket.end()
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
    socket.write(
      [
        `${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1`,
        'Host: localhost',
        `Connection: Upgrade${to === 'h2c' ? ', HTTP2-Settings' : ''}`,
        `Upgrade: ${to}`,
        ...(to === 'h2c'
          ? ['HTTP2-Settings: AAEAAEAAAAIAAAAB']
          : ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']),
        ...(body === undefined
          ? []
          : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]),
        '',
        body ?? '',
      ].join('\r\n'),
    )
  })
}
