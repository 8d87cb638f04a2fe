// What really arrived: read from Postgres, Redis and the sinks after the fact. Knows nothing of what was expected.
import type { RedisClient } from '../../queues/connection.ts'
import { sampleQueues } from '../../queues/depth.ts'
import { allQueueNames } from '../../queues/pipeline.ts'
import type { Config } from '../../runtime/config.ts'
import type { Servers } from '../../store/servers.ts'
import type { Sql } from '../../store/sql.ts'
import type { Channel } from '../local/sinks.ts'
import { DEMO_CAMPAIGN, DEMO_SEED, DEMO_SEGMENT } from './setup.ts'

/** Message ids of the shop (shop.ts) start so. */
const DEMO_PREFIX = `demo-${DEMO_SEED}-`

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

/** What is there of the demo, and of nothing that anyone sent or made beside it. */
export async function readDemoCounts(servers: Servers): Promise<DemoCounts> {
  const [named] = await servers.home<
    { failed: number; segment_id: number | null; campaign_id: number | null }[]
  >`
    select (select count(*)::int from failed_events
        where resolved_at is null and (message_id is null or message_id like ${`${DEMO_PREFIX}%`})) as failed,
      (select segment_id from segments where slug = ${DEMO_SEGMENT}) as segment_id,
      (select campaign_id from campaigns where name = ${DEMO_CAMPAIGN}) as campaign_id`
  const { failed = 0, segment_id = null, campaign_id = null } = named ?? {}
  const counts: DemoCounts = {
    ...{ persisted: 0, failed, users: 0, known: 0, sessions: 0, members: 0 },
    deliveries: { email: 0, push: 0, webhook: 0 },
  }
  for (const sql of servers.all) {
    const found = await readCountsOn(sql, { segmentId: segment_id, campaignId: campaign_id })
    for (const name of ['persisted', 'users', 'known', 'sessions', 'members'] as const)
      counts[name] += found[name]
    for (const channel of ['email', 'push', 'webhook'] as const) counts.deliveries[channel] += found[channel]
  }
  return counts
}

async function readCountsOn(sql: Sql, of: { segmentId: number | null; campaignId: number | null }) {
  const [row] = await sql<
    {
      persisted: number
      users: number
      known: number
      sessions: number
      members: number
      email: number
      push: number
      webhook: number
    }[]
  >`
    with shop as materialized (
      select e.bucket, e.profile_id, count(*) as events
      from events e where e.message_id like ${`${DEMO_PREFIX}%`} group by e.bucket, e.profile_id
    ), sent as (
      select d.channel from deliveries d join shop using (bucket, profile_id)
      where d.campaign_id = ${of.campaignId} and d.state = 'sent'
    )
    select (select coalesce(sum(events), 0)::int from shop) as persisted,
      (select count(*)::int from shop) as users,
      (select count(*)::int from shop join profiles using (bucket, profile_id) where user_id is not null) as known,
      (select count(*)::int from sessions where first_message_id like ${`${DEMO_PREFIX}%`}) as sessions,
      (select count(*)::int from memberships join shop using (bucket, profile_id)
        where segment_id = ${of.segmentId}) as members,
      (select count(*)::int from sent where channel = 'email') as email,
      (select count(*)::int from sent where channel = 'push') as push,
      (select count(*)::int from sent where channel = 'webhook') as webhook`
  if (row === undefined) throw new Error('Postgres counted nothing')
  return row
}

/** Events of the demo that are there already. */
export async function countDemoEvents(servers: Servers): Promise<number> {
  let total = 0
  for (const sql of servers.all) {
    const [row] = await sql<{ count: number }[]>`
      select count(*)::int as count from events where message_id like ${`${DEMO_PREFIX}%`}`
    total += row?.count ?? 0
  }
  return total
}

/** Jobs anywhere in the flow: waiting, active or delayed; clock tasks do not count. */
export async function jobsInFlow(redis: RedisClient, config: Config): Promise<number> {
  const names = allQueueNames(config.shards).filter((name) => name !== 'schedule')
  const sample = await sampleQueues(redis, config.namespace, names, Date.now())
  return [...sample.lanes.values()].reduce((sum, lane) => sum + lane.waiting + lane.active + lane.delayed, 0)
}

/** Resolves when the flow was seen empty twice in a row; throws after `timeoutMs`. */
export async function waitUntilDrained(redis: RedisClient, config: Config, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  let emptyLooks = 0
  while (emptyLooks < 3) {
    const jobs = await jobsInFlow(redis, config)
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

/** What the local sinks have received, all deployments' messages since the data folder was made. */
export async function readOutboxCounts(outboxUrl: string): Promise<Record<Channel, number>> {
  return (await (await fetch(new URL('api/counts', outboxUrl))).json()) as Record<Channel, number>
}
