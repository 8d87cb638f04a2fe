// The exporter: what Prometheus reads of every queue, of Redis and of Postgres.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startExporter } from '../../dashboard/exporter.ts'
import { connectProducer } from '../../queues/connection.ts'
import { pauseQueues } from '../../queues/control.ts'
import { startSampler } from '../../queues/depth.ts'
import { allQueueNames, persist } from '../../queues/pipeline.ts'
import { recordGaps } from '../../store/archive.ts'
import { weekOf } from '../../store/events.ts'
import { recordFailedEvents } from '../../store/failed-events.ts'
import { makePartitions } from '../../store/partitions.ts'
import { recordRun } from '../../store/schedule-runs.ts'
import { spreadOver } from '../../store/servers.ts'
import { connectSql } from '../../store/sql.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let exporter: Awaited<ReturnType<typeof startExporter>>

beforeAll(async () => {
  world = await testWorld({ exporterPort: 0, exporterLookMs: 50 })
  const { config, depth, servers, producer, log } = world
  exporter = await startExporter({ config, depth, servers, redis: producer, log })
})
afterAll(async () => {
  await exporter.stop()
  await world.close()
})

async function scrape(): Promise<string> {
  const response = await fetch(`${exporter.url}/metrics`)
  expect(response.headers.get('content-type')).toContain('text/plain')
  return response.text()
}

test('every queue is there with each state and the age of its oldest job', async () => {
  const text = await scrape()
  for (const queue of allQueueNames(world.config.shards)) {
    for (const state of ['waiting', 'active', 'delayed', 'failed']) {
      expect(text).toContain(`millrace_queue_jobs{queue="${queue}",state="${state}"} 0`)
    }
    expect(text).toContain(`millrace_queue_oldest_age_seconds{queue="${queue}"} 0`)
  }
})

test('waiting jobs, their age and Redis memory are counted', async () => {
  await world.sender.send(persist, [normalBatch([normalEvent({ userId: 'u' })])])
  const text = await waitFor(async () => {
    const now = await scrape()
    return now.includes('millrace_queue_jobs{queue="persist",state="waiting"} 1') ? now : undefined
  })
  expect(text).toMatch(/millrace_queue_oldest_age_seconds\{queue="persist"\} 0\.\d+/)
  expect(text).toMatch(/millrace_redis_memory_bytes [1-9]\d+/)
  expect(text).toMatch(/millrace_redis_memory_max_bytes [1-9]\d+/)
})

test('who works, what is paused and how much may wait is said of every queue', async () => {
  const { producer, namespace } = world
  await pauseQueues(producer, namespace, ['archive'])
  const text = await waitFor(async () => {
    const now = await scrape()
    return now.includes('millrace_queue_paused{queue="archive"} 1') ? now : undefined
  })
  expect(text).toContain('millrace_queue_paused{queue="persist"} 0')
  expect(text).toContain('millrace_queue_workers{queue="persist"} 0')
  expect(text).toContain(`millrace_queue_budget_jobs{queue="persist"} ${persist.budget.maxWaitingJobs}`)
  const pool = await world.run(persistPool)
  await waitFor(async () => (await scrape()).includes('millrace_queue_workers{queue="persist"} 1'))
  await pool.stop()
})

test('open failures are counted by stage and code until they are resolved', async () => {
  const failed = (key: string, code: 'row_rejected' | 'message_conflict') => ({
    failedKey: key,
    stage: 'persist',
    code,
    reason: 'a reason',
    payload: '{}',
  })
  await recordFailedEvents(world.sql, [
    failed('a', 'row_rejected'),
    failed('b', 'row_rejected'),
    failed('c', 'message_conflict'),
  ])
  const shows = (line: string) => waitFor(async () => (await scrape()).includes(line))
  await shows('millrace_failed_events_open{stage="persist",code="row_rejected"} 2')
  await shows('millrace_failed_events_open{stage="persist",code="message_conflict"} 1')
  await world.sql`update failed_events set resolved_at = now()`
  await waitFor(async () => !(await scrape()).includes('millrace_failed_events_open{'))
})

test('what should not stay in Postgres is shown, and what it has room for', async () => {
  const text = await waitFor(async () => {
    const now = await scrape()
    return now.includes('millrace_postgres_up 1') ? now : undefined
  })
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  expect(value('millrace_postgres_connections')).toBeGreaterThan(0)
  expect(value('millrace_postgres_connections_max')).toBeGreaterThan(value('millrace_postgres_connections'))
  expect(value('millrace_postgres_database_bytes')).toBeGreaterThan(1_000_000)
  expect(value('millrace_archive_gaps_open')).toBe(0)
  expect(value('millrace_unannounced_change_age_seconds')).toBe(0)
  // No partition was made yet: nothing is known of weeks ahead.
  expect(text).not.toMatch(/^millrace_partition_weeks_ahead \d/m)

  const { sql } = world
  await makePartitions(sql, [weekOf(Date.now()), weekOf(Date.now() + 7 * 86_400_000)])
  await recordRun(sql, { task: 'sweep', startedAt: new Date(1_700_000_000_000), counts: {} })
  await recordGaps(sql, [{ batchId: 'batch-0001', events: 3, fromReceived: 1, toReceived: 2 }])
  await sql`
    insert into membership_changes (bucket, segment_id, version, profile_id, op, reason, effective_at, recorded_at)
    values (5, 1, 1, 5, 'enter', 'event', now(), now() - interval '1 minute')`
  await waitFor(async () => {
    const now = await scrape()
    return (
      /^millrace_partition_weeks_ahead 1$/m.test(now) &&
      /^millrace_archive_gaps_open 1$/m.test(now) &&
      /^millrace_unannounced_change_age_seconds 6\d/m.test(now) &&
      now.includes('millrace_schedule_last_success_timestamp_seconds{task="sweep"} 1700000000')
    )
  })
})

test('while a store does not answer, it is said to be down and nothing is said of what it holds', async () => {
  const { config, namespace, log } = world
  const redis = connectProducer('redis://127.0.0.1:1')
  redis.on('error', () => {})
  const depth = startSampler({ redis, namespace, names: ['ingest'], busyMs: 50, idleMs: 50 })
  const nobody = connectSql({
    url: 'postgres://nobody@127.0.0.1:1/none',
    namespace: 'none',
    max: 1,
    applicationName: 'test',
  })
  const blind = await startExporter({ config, depth, servers: spreadOver([nobody], 'none'), redis, log })
  const text = await waitFor(async () => {
    const now = await (await fetch(`${blind.url}/metrics`)).text()
    return now.includes('millrace_postgres_up 0') ? now : undefined
  })
  expect(text).toContain('millrace_redis_up 0')
  const said = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(said.filter((line) => !/^millrace_(queue_budget_jobs\{|redis_up|postgres_up)/.test(line))).toEqual(
    [],
  )
  expect((await fetch(`${blind.url}/readyz`)).status).toBe(503)
  await blind.stop()
  await depth.close()
  redis.disconnect()
  await nobody.end()
})

test('it is healthy and ready while Redis answers', async () => {
  expect((await fetch(`${exporter.url}/healthz`)).status).toBe(200)
  expect((await fetch(`${exporter.url}/readyz`)).status).toBe(200)
})
