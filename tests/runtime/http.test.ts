// A server that is told to close does so, whatever its clients keep open.
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createHttpServer, type HttpServer } from '../../runtime/http.ts'
import { createLog } from '../../runtime/log.ts'

let app: HttpServer
let port: number
let answer: PromiseWithResolvers<string>
let asked: PromiseWithResolvers<void>
const open: Socket[] = []

beforeEach(async () => {
  answer = Promise.withResolvers()
  asked = Promise.withResolvers()
  app = createHttpServer({ log: createLog({ level: 'fatal', service: 'test' }), bodyLimitBytes: 1000 })
  app.get('/', () => 'now')
  app.get('/later', () => {
    asked.resolve()
    return answer.promise
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  port = typeof address === 'object' && address !== null ? address.port : 0
})
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy()
  await app.close()
})

async function connected(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  open.push(socket)
  await once(socket, 'connect')
  return socket
}

/** Seconds that closing takes. */
async function closing(): Promise<number> {
  const startedAt = performance.now()
  await app.close()
  return (performance.now() - startedAt) / 1000
}

test('connections on which no request ever came hold it for no more than a moment', async () => {
  const silent = await connected()
  const begun = await connected()
  begun.write('GET / HTTP/1.1\r\nHos')
  const ended = [silent, begun].map((socket) => once(socket, 'close'))
  expect(await closing()).toBeLessThan(5)
  await Promise.all(ended)
})

test('a request under way is answered, and its kept-alive connection is closed then', async () => {
  const agent = new Agent({ keepAlive: true })
  const reply = Promise.withResolvers<IncomingMessage>()
  get({ host: '127.0.0.1', port, path: '/later', agent }, reply.resolve).on('error', reply.reject)
  await asked.promise
  const closed = closing()
  setTimeout(() => answer.resolve('late'), 700)
  const response = await reply.promise
  expect(response.statusCode).toBe(200)
  expect(await text(response)).toBe('late')
  expect(await closed).toBeLessThan(5)
  agent.destroy()
})
