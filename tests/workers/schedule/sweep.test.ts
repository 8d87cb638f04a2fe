// What was committed but not handed on is found and handed on, once.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkRule } from '../../../domain/segments/version.ts'
import { openQueue } from '../../../queues/sender.ts'
import { recordGaps } from '../../../store/archive.ts'
import { createSegment } from '../../../store/segments.ts'
import { sweep } from '../../../workers/schedule/sweep.ts'
import { NEVER, scheduleDeps } from '../../support/schedule-deps.ts'
import { seedPeople } from '../../support/seed-people.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
beforeAll(async () => {
  world = await testWorld()
  await seedPeople(world)
})
afterAll(() => world.close())

const deps = () => scheduleDeps(world, Date.now())
const jobsOf = async (name: string, state: 'waiting' | 'failed' = 'waiting') => {
  const queue = openQueue(world.producer, world.namespace, name, true)
  const jobs = await queue.getJobs([state])
  await queue.close()
  return jobs.map((job) => ({ id: job.id, data: job.data }))
}

test('an entry that its pass could not announce becomes its messages', async () => {
  await world.sql`insert into segments (slug, name) values ('vip', 'VIP')`
  await world.sql`insert into campaigns (name, segment_id) values ('hello', 1)`
  await world.sql`insert into templates (name, channel, body) values ('t', 'push', 'hi')`
  await world.sql`insert into campaign_channels (campaign_id, channel, template_id) values (1, 'push', 1)`
  await world.sql`
    insert into membership_changes (bucket, segment_id, profile_id, op, reason, version, effective_at, recorded_at)
    select bucket, 1, profile_id, 'enter', 'event', 1, now(), case user_id when 'user-42' then now() - interval '11 seconds' else now() end
    from profiles where user_id in ('user-42', 'user-7')`
  expect(await sweep(deps(), NEVER)).toMatchObject({ announced: 1 })
  // The other one is young: its own pass is still about to announce it.
  expect(await jobsOf('deliver-push')).toMatchObject([{ data: { channel: 'push', campaignId: 1 } }])
  expect(await sweep(deps(), NEVER)).toMatchObject({ announced: 0 })
  const open = await world.sql`select count(*)::int as n from membership_changes where announced_at is null`
  expect(open[0]?.n).toBe(1)
})

test('a delivery whose job is gone is sent again, one that moved lately is not', async () => {
  await world.sql`
    insert into deliveries (bucket, delivery_key, channel, campaign_id, profile_id, change_id, state, updated_at)
    select bucket, 'c9-s' || u.n || '-webhook', 'webhook', 9, profile_id, u.n, u.state, now() - u.age
    from profiles cross join (values (1, 'waiting', interval '1 hour'), (2, 'waiting', interval '1 minute'), (3, 'sent', interval '1 hour')) as u (n, state, age)
    where user_id = 'user-42'`
  expect(await sweep(deps(), NEVER)).toMatchObject({ deliveries: 1 })
  await sweep(deps(), NEVER)
  expect(await jobsOf('deliver-webhook')).toMatchObject([
    { id: 'de-c9-s1-webhook', data: { deliveryKey: 'c9-s1', changeId: 1 } },
  ])
})

test('a dead job that no row tells of is recorded once, also after it was sent again', async () => {
  const queue = openQueue(world.producer, world.namespace, 'persist')
  await queue.add('persist', { v: 1, batchId: 'dead-one', events: [] }, { jobId: 'pe-dead-one', attempts: 1 })
  await failAllJobs('persist', 'row_rejected: no good')
  await waitFor(() => world.depth.depthOf('persist').failed === 1)
  expect(await sweep(deps(), NEVER)).toMatchObject({ deadJobs: 1 })
  expect(await sweep(deps(), NEVER)).toMatchObject({ deadJobs: 0 })
  const rows = await world.sql`select failed_key, stage, code, payload from failed_events`
  expect(rows).toMatchObject([
    { failed_key: 'job-persist-pe-dead-one', stage: 'persist', code: 'row_rejected' },
  ])
  expect(JSON.parse(rows[0]?.payload)).toMatchObject({ batchId: 'dead-one' })
  await world.sql`update failed_events set resolved_at = now(), failed_key = failed_key || '~' || failed_id`
  expect(await sweep(deps(), NEVER)).toMatchObject({ deadJobs: 0 })
  await queue.close()
})

test('events that the archive had no room for are read back and put on its queue', async () => {
  const [span] =
    await world.sql`select min(received_at) as first, max(received_at) as last, count(*)::int as n from events`
  const gap = (batchId: string) => ({
    batchId,
    events: Number(span?.n),
    fromReceived: Number(span?.first),
    toReceived: Number(span?.last),
  })
  await recordGaps(world.sql, [gap('gap-one-1'), gap('gap-one-2')])
  await recordGaps(world.sql, [{ ...gap('too-young'), fromReceived: Date.now(), toReceived: Date.now() }])
  expect(await sweep(deps(), NEVER)).toMatchObject({ archived: Number(span?.n) })
  expect(await sweep(deps(), NEVER)).toMatchObject({ archived: 0 })
  const jobs = await jobsOf('archive')
  expect(jobs).toHaveLength(1)
  const sent: { messageId: string }[] = jobs[0]?.data.events
  const kept = await world.sql`select message_id from events order by message_id`
  expect(sent.map((event) => event.messageId).sort()).toEqual(kept.map((row) => row.message_id))
  const open = await world.sql`select batch_id from archive_gaps where filled_at is null`
  expect(open.map((row) => row.batch_id)).toEqual(['too-young'])
})

test('a run that nobody began is begun, and its chunks are sent again only when they stand still', async () => {
  const profiles = await world.sql`select profile_id from profiles where merged_into is null order by 1`
  const rule = { match: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } }
  const names = { slug: 'swept', name: 'Swept', author: '', note: '' }
  await createSegment(world.sql, { ...names, ...checkRule(rule) })
  expect(await sweep(deps(), NEVER)).toMatchObject({ chunks: 1 })
  expect(await sweep(deps(), NEVER)).toMatchObject({ chunks: 0 })
  await world.sql`update segment_runs set started_at = now() - interval '2 minutes'`
  await world.sql`update segment_run_parts set updated_at = now() - interval '2 minutes'`
  // Sent again while its job waits a chunk is the same job.
  expect(await sweep(deps(), NEVER)).toMatchObject({ chunks: 1 })
  const lanes = ['segment-00', 'segment-01', 'segment-02', 'segment-03']
  const waiting = (await Promise.all(lanes.map((lane) => jobsOf(lane)))).flat()
  const jobs = waiting.filter((job) => job.data.reason === 'backfill')
  const named: number[] = jobs.flatMap((job) => job.data.profileIds)
  expect(named.sort((a, b) => a - b)).toEqual(profiles.map((row) => row.profile_id))
})

test('a way back is given up after its time, and its members are forgotten', async () => {
  await world.sql`
    update segments set shadow_version = 1, shadow_until = now() + interval '1 day' where slug = 'swept'`
  await world.sql`
    insert into memberships (bucket, segment_id, profile_id, entered_at, version, change_id)
    select bucket, -2, profile_id, now(), 1, 0 from profiles where user_id = 'user-42'`
  expect(await sweep(deps(), NEVER)).toMatchObject({ shadows: 0 })
  await world.sql`update segments set shadow_until = now() - interval '1 second' where slug = 'swept'`
  expect(await sweep(deps(), NEVER)).toMatchObject({ shadows: 1 })
  expect(await world.sql`select 1 from memberships where segment_id < 0`).toHaveLength(0)
  expect(await world.sql`select 1 from segments where shadow_version is not null`).toHaveLength(0)
})

/** Takes the waiting jobs of a queue as a worker would, and gives each up. */
async function failAllJobs(name: string, reason: string): Promise<void> {
  const { Worker, UnrecoverableError } = await import('bullmq')
  const worker = new Worker(name, async () => Promise.reject(new UnrecoverableError(reason)), {
    connection: world.consumer,
    prefix: `{${world.namespace}-${name}}`,
  })
  await waitFor(async () => (await jobsOf(name, 'failed')).length > 0)
  await worker.close()
}
