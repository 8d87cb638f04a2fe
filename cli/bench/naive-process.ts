// The pipeline as most teams write it first, for comparison (naive.ts starts it): the same stages and queues, the same
// durability, but one job and one insert an event. Arguments are the stages that this process runs. Not part of the product.
import { Queue, Worker } from 'bullmq'
import { fastify } from 'fastify'
import { Redis } from 'ioredis'
import { Pool } from 'pg'

const { REDIS_URL = '', DATABASE_URL = '', NAIVE_SCHEMA = '' } = process.env
const PREFIX = `{${NAIVE_SCHEMA}}`
const CONCURRENCY = 50
const stages = process.argv.slice(2)

type Event = {
  messageId: string
  userId: string
  event: string
  timestamp: string
  properties: Record<string, unknown>
}

const redis = new Redis(REDIS_URL, { maxRetriesPerRequest: null })
const pool = new Pool({ connectionString: DATABASE_URL, max: 10, options: `-c search_path=${NAIVE_SCHEMA}` })
const queueOf = (name: string) => new Queue(name, { connection: redis, prefix: PREFIX })
const queues = {
  ingest: queueOf('ingest'),
  persist: queueOf('persist'),
  segment: queueOf('segment'),
  deliver: queueOf('deliver'),
}
const KEEP_NONE = { removeOnComplete: true, attempts: 5 }

const HANDLERS: Record<string, (data: Event) => Promise<void>> = {
  async ingest(event) {
    const time = new Date(event.timestamp).toISOString()
    await queues.persist.add('event', { ...event, timestamp: time }, KEEP_NONE)
  },
  async persist(event) {
    await persist(event)
    await queues.segment.add('user', event, KEEP_NONE)
  },
  async segment({ userId, ...event }) {
    const { rows } = await pool.query(
      `select count(*)::int as orders, coalesce(sum((properties->>'revenue')::numeric), 0) as spent
       from events where user_id = $1 and name = 'Order Completed' and time > now() - interval '30 days'`,
      [userId],
    )
    const isMember = rows[0].orders > 5 && Number(rows[0].spent) > 1000
    if (!isMember) {
      await pool.query('delete from memberships where user_id = $1', [userId])
      return
    }
    const entered = await pool.query(
      'insert into memberships (user_id) values ($1) on conflict do nothing returning 1',
      [userId],
    )
    if (entered.rowCount === 1) await queues.deliver.add('message', { ...event, userId }, KEEP_NONE)
  },
  async deliver({ userId }) {
    await pool.query('insert into deliveries (user_id) values ($1) on conflict do nothing', [userId])
  },
}

async function persist(event: Event): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query(
      `insert into profiles (user_id, first_seen, last_seen) values ($1, $2, $2)
       on conflict (user_id) do update set last_seen = greatest(profiles.last_seen, excluded.last_seen)`,
      [event.userId, event.timestamp],
    )
    await client.query(
      `insert into events (message_id, user_id, name, time, properties) values ($1, $2, $3, $4, $5)
       on conflict (message_id) do nothing`,
      [event.messageId, event.userId, event.event, event.timestamp, event.properties],
    )
    const continued = await client.query(
      `update sessions set ended_at = greatest(ended_at, $2), events = events + 1
       where user_id = $1 and ended_at > $2::timestamptz - interval '30 minutes'`,
      [event.userId, event.timestamp],
    )
    if (continued.rowCount === 0)
      await client.query(
        'insert into sessions (user_id, started_at, ended_at, events) values ($1, $2, $2, 1)',
        [event.userId, event.timestamp],
      )
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

async function listen(): Promise<string> {
  const app = fastify({ bodyLimit: 1_000_000 })
  app.post<{ Body: { batch: Event[] } }>('/v1/batch', async ({ body }) => {
    await Promise.all(body.batch.map((event) => queues.ingest.add('event', event, KEEP_NONE)))
    return { success: true }
  })
  return app.listen({ host: '127.0.0.1', port: 0 })
}

for (const stage of stages) {
  const handle = HANDLERS[stage]
  if (handle === undefined) continue
  const worker = new Worker<Event>(stage, (job) => handle(job.data), {
    connection: redis,
    prefix: PREFIX,
    concurrency: CONCURRENCY,
  })
  worker.on('error', () => {})
  await worker.waitUntilReady()
}
const url = stages.includes('collector') ? await listen() : ''
process.once('disconnect', () => process.exit(0))
process.send?.({ url })
