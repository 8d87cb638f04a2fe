// A world whose messages go to the real local sinks: one campaign on all three channels, people to write to, and the
// deliver pool. Used by tests/workers/deliver; the caller closes it.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Channel, type Sinks, startSinks } from '../../cli/local/sinks.ts'
import { checkRule } from '../../domain/segments/version.ts'
import { sampleQueues } from '../../queues/depth.ts'
import { deliver } from '../../queues/pipeline.ts'
import type { Config } from '../../runtime/config.ts'
import type { DeliveryJob } from '../../schema/jobs.ts'
import { createCampaign, type NewCampaign } from '../../store/campaigns.ts'
import { createSegment } from '../../store/segments.ts'
import { waitFor } from './wait-for.ts'
import { testWorld } from './world.ts'

export type DeliverWorld = Awaited<ReturnType<typeof deliverWorld>>

const SECRET = `whsec_${Buffer.from('a secret of 24 characters').toString('base64')}`
const FINAL = ['sent', 'failed', 'skipped', 'suppressed', 'unknown']

/** `configOf` may point configuration at the sinks, which have started by then. */
export async function deliverWorld(configOf: (sinks: Sinks) => Partial<Config> = () => ({})) {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-deliver-'))
  const sinks = await startSinks({ dir, outboxPort: 0, webhookSecret: SECRET })
  const world = await testWorld({
    secret: 'a secret of this test',
    webhookSecret: SECRET,
    localSmtpPort: sinks.email.port,
    localPushPort: sinks.push.port,
    localPushCa: sinks.push.caFile,
    localWebhookUrl: sinks.webhook.url,
    ...configOf(sinks),
  })
  const segment = await createSegment(world.sql, {
    slug: 'everybody',
    name: 'Everybody',
    ...checkRule({ match: { k: 'trait', path: 'email', op: 'exists' } }),
    author: '',
    note: '',
  })
  let people = 0

  const addCampaign = async (name: string, channels: NewCampaign['channels']) => {
    const campaignId = await createCampaign(world.sql, { name, segmentId: segment?.segmentId ?? 0, channels })
    if (campaignId === undefined) throw new Error(`the campaign ${name} exists`)
    return campaignId
  }
  const campaignId = await addCampaign(
    'Welcome',
    (['email', 'push', 'webhook'] as const).map((channel) => ({
      channel,
      subject: 'Hello {{ profile.traits.firstName }}',
      body: 'Welcome to {{ segment.name }}, {{ profile.traits.firstName }}.',
      html: channel === 'email' ? '<p>Welcome, {{ profile.traits.firstName }}</p>' : null,
    })),
  )

  return {
    ...world,
    sinks,
    campaignId,
    addCampaign,
    /** A profile with these traits and an address on every channel; returns its number. */
    async addPerson(traits: Record<string, unknown> = {}): Promise<number> {
      people += 1
      const profileId = people * 1024 + ((people * 64) % 1024)
      const all = {
        firstName: `P${people}`,
        email: `p${people}@shop.example`,
        pushToken: `token-${people}`,
        ...traits,
      }
      await world.sql`
        insert into profiles (bucket, profile_id, first_id, user_id, first_seen, last_seen, traits)
        values (${profileId % 1024}, ${profileId}, ${`user-${people}`}, ${`user-${people}`}, now(), now(),
          ${JSON.stringify(all)}::text::jsonb)`
      return profileId
    },
    /** The job that an entry of this person stands for. */
    jobFor(profileId: number, channel: Channel, campaign = campaignId): DeliveryJob {
      const changeId = profileId * 10
      return {
        v: 1,
        channel,
        deliveryKey: `c${campaign}-s${changeId}`,
        campaignId: campaign,
        profileId,
        changeId,
      }
    },
    send: (jobs: DeliveryJob[]) => world.sender.send(deliver, jobs),
    /** The row of a delivery, or undefined while there is none. */
    async rowOf(job: DeliveryJob) {
      const [row] = await world.sql<
        { state: string; attempt: number; reason: string | null; provider_message_id: string | null }[]
      >`
        select state, attempt, reason, provider_message_id from deliveries
        where bucket = ${job.profileId % 1024} and delivery_key = ${`${job.deliveryKey}-${job.channel}`}`
      return row
    },
    /** Waits until the delivery has ended, and returns its row. */
    async ended(job: DeliveryJob) {
      return waitFor(
        async () => {
          const row = await this.rowOf(job)
          return row !== undefined && FINAL.includes(row.state) ? row : undefined
        },
        { what: `the end of ${job.deliveryKey}-${job.channel}` },
      )
    },
    /** No job of any channel is left to run: all are done or set aside. */
    async idle() {
      const names = ['deliver-email', 'deliver-push', 'deliver-webhook']
      await waitFor(
        async () => {
          const { lanes } = await sampleQueues(world.producer, world.namespace, names, Date.now())
          return [...lanes.values()].every((lane) => lane.waiting + lane.active + lane.delayed === 0)
        },
        { what: 'idle deliver queues' },
      )
    },
    /** What is in the sink's file for this address (or, for webhooks, id): what really left. */
    async received(channel: Channel, to: string): Promise<Record<string, unknown>[]> {
      const text = await readFile(join(dir, `${channel}.jsonl`), 'utf8').catch(() => '')
      const entries: Record<string, unknown>[] = text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
      return entries.filter((entry) => (channel === 'webhook' ? entry.id === to : String(entry.to) === to))
    },
    async close() {
      await world.close()
      await sinks.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
