// What really arrived: read from Postgres, Redis and the sinks after the fact. Knows nothing of what was expected.
import type { Redis } from 'ioredis'
import { sampleQueues } from '../../queues/depth.ts'
import { allQueueNames } from '../../queues/pipeline.ts'
import type { Config } from '../../runtime/config.ts'
import { countDeliveries } from '../../store/deliveries.ts'
import { countMembers } from '../../store/memberships.ts'
import { readSegment } from '../../store/segments.ts'
import type { Sql } from '../../store/sql.ts'

export type DemoCounts = {
  persisted: number
  failed: number
  users: number
  /** Those of them with a user id. */
  known: number
  sessions: number
  members: number
  deliveries: { email: number; push: number; webhook: number }
}

export async function readDemoCounts(sql: Sql, segmentSlug: string): Promise<DemoCounts> {
  const [row] = await sql<
    { persisted: number; failed: number; users: number; known: number; sessions: number }[]
  >`
    select (select count(*)::int from events e join sources s using (source_id) where s.name = 'demo-shop') as persisted,
      (select count(*)::int from failed_events where resolved_at is null) as failed,
      (select count(*)::int from profiles where merged_into is null) as users,
      (select count(*)::int from profiles where merged_into is null and user_id is not null) as known,
      (select count(*)::int from sessions) as sessions`
  const segment = await readSegment(sql, segmentSlug)
  const deliveries = await countDeliveries(sql)
  const sent = (channel: string) =>
    deliveries.find((one) => one.channel === channel && one.state === 'sent')?.count ?? 0
  return {
    persisted: row?.persisted ?? 0,
    failed: row?.failed ?? 0,
    users: row?.users ?? 0,
    known: row?.known ?? 0,
    sessions: row?.sessions ?? 0,
    members: segment === undefined ? 0 : await countMembers(sql, segment.segmentId),
    deliveries: { email: sent('email'), push: sent('push'), webhook: sent('webhook') },
  }
}

export async function countEvents(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: number }[]>`select count(*)::int as count from events`
  return row?.count ?? 0
}

/** Jobs anywhere in the flow: waiting, active or delayed; clock tasks do not count. */
export async function jobsInFlow(redis: Redis, config: Config): Promise<number> {
  const names = allQueueNames(config.shards).filter((name) => name !== 'schedule')
  const sample = await sampleQueues(redis, config.namespace, names, Date.now())
  return [...sample.lanes.values()].reduce((sum, lane) => sum + lane.waiting + lane.active + lane.delayed, 0)
}

/** Resolves when the flow was seen empty twice in a row; throws after `timeoutMs`. */
export async function waitUntilDrained(
  redis: Redis,
  config: Config,
  timeoutMs: number,
  onLook?: (jobs: number) => void,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  let emptyLooks = 0
  while (emptyLooks < 3) {
    const jobs = await jobsInFlow(redis, config)
    onLook?.(jobs)
    emptyLooks = jobs === 0 ? emptyLooks + 1 : 0
    if (Date.now() > deadline)
      throw new Error(`the queues still hold ${jobs} jobs after ${Math.round(timeoutMs / 1000)} s`)
    await new Promise((resolve) => setTimeout(resolve, 150))
  }
}

/** A counter of a process, out of its /metrics page; labels as they stand there, e.g. `verdict="duplicate"`. */
export async function readCounter(metricsUrl: string, name: string, labels: string[]): Promise<number> {
  const text = await (await fetch(metricsUrl)).text()
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
