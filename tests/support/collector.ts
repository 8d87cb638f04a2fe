// A collector on a real port in a test world, with a source and its keys, and a look at what landed on `ingest`.
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { Value } from 'typebox/value'
import { mountCollector } from '../../collector/app.ts'
import { decodePayload } from '../../queues/codec.ts'
import { queuePrefix } from '../../queues/define.ts'
import { createHttpServer, type HttpServer } from '../../runtime/http.ts'
import { CollectedBatch, type CollectedRequest } from '../../schema/collected.ts'
import { issueKey, type NewKey } from '../../store/keys.ts'
import { ensureSource } from '../../store/sources.ts'
import type { World } from './world.ts'

export type TestCollector = Awaited<ReturnType<typeof startCollector>>

export async function startCollector(
  world: World,
  options: { port?: number; before?: (app: HttpServer) => Promise<void> } = {},
) {
  const app = createHttpServer({
    log: world.log,
    bodyLimitBytes: world.config.maxRequestBytes,
    trustProxy: world.config.trustProxy,
  })
  await options.before?.(app)
  const service = await mountCollector(app, { ...world, send: world.sender.send })
  await app.listen({ host: '127.0.0.1', port: options.port ?? 0 })
  const { port } = app.server.address() as AddressInfo
  const sourceId = await ensureSource(world.sql, 'test')
  const newKey = (key: Partial<NewKey> = {}) =>
    issueKey(world.sql, { kind: 'pub', sourceId, ...key }, randomBytes(16))
  const { key } = await newKey()
  const { key: secretKey } = await issueKey(world.sql, { kind: 'sec' }, randomBytes(16))
  const url = `http://127.0.0.1:${port}`

  return {
    app,
    url,
    port,
    sourceId,
    key,
    secretKey,
    newKey,
    /** POSTs a value as JSON (text and bytes as they are) with the write key as Basic user name. */
    post: (path: string, body: unknown, headers: Record<string, string> = {}) =>
      fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: basic(key), ...headers },
        body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
      }),
    /** Every request on the `ingest` queue, as a worker would read it. */
    landed: () => readIngest(world),
    async stop() {
      await service.quiet?.()
      await app.close()
      await service.stop()
    },
  }
}

export function basic(key: string): string {
  return `Basic ${Buffer.from(`${key}:`).toString('base64')}`
}

/** The waiting jobs' requests, checked against the queue's schema. */
export async function readIngest(world: World): Promise<CollectedRequest[]> {
  const key = `${queuePrefix(world.namespace, 'ingest')}:ingest`
  const ids = await world.producer.lrange(`${key}:wait`, 0, -1)
  const texts = await Promise.all(ids.map((id) => world.producer.hget(`${key}:${id}`, 'data')))
  return texts.flatMap((text) => {
    const batch = decodePayload(JSON.parse(text ?? 'null'))
    if (!Value.Check(CollectedBatch, batch)) throw new Error('a job on ingest is not a CollectedBatch')
    return batch.requests
  })
}

/** Forgets what landed, for the next test of the file. */
export async function emptyIngest(world: World): Promise<void> {
  const key = `${queuePrefix(world.namespace, 'ingest')}:ingest`
  const ids = await world.producer.lrange(`${key}:wait`, 0, -1)
  await world.producer.del(`${key}:wait`, ...ids.map((id) => `${key}:${id}`))
}
