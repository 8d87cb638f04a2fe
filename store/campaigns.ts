// Campaigns and their templates: what is sent, on which channels, to whoever enters a segment.
import type { Channel } from '../schema/jobs.ts'
import type { Servers } from './servers.ts'
import { inTransaction, type Queryable, type Sql } from './sql.ts'

export type TemplateText = { subject: string; body: string; html: string | null }
export type NewCampaign = {
  name: string
  segmentId: number
  channels: ({ channel: Channel } & TemplateText)[]
}
export type CampaignRow = {
  campaignId: number
  name: string
  segmentId: number
  segmentSlug: string
  status: 'active' | 'paused' | 'archived'
  channels: Channel[]
  createdAt: Date
}

/** Creates an active campaign with its templates; undefined when the name is taken. */
export async function createCampaign(sql: Sql, campaign: NewCampaign): Promise<number | undefined> {
  return inTransaction(sql, async (tx) => {
    const [row] = await tx<{ campaign_id: number }[]>`
      insert into campaigns (name, segment_id) values (${campaign.name}, ${campaign.segmentId})
      on conflict (name) do nothing
      returning campaign_id`
    if (row === undefined) return undefined
    for (const part of campaign.channels) {
      await tx`
        with template as (
          insert into templates (name, channel, subject, body, html)
          values (${`${campaign.name} ${part.channel}`}, ${part.channel}, ${part.subject}, ${part.body}, ${part.html})
          returning template_id
        )
        insert into campaign_channels (campaign_id, channel, template_id)
        select ${row.campaign_id}, ${part.channel}, template_id from template`
    }
    return row.campaign_id
  })
}

export function listCampaigns(sql: Queryable): Promise<CampaignRow[]> {
  return selectCampaigns(sql)
}

export async function readCampaign(sql: Queryable, campaignId: number): Promise<CampaignRow | undefined> {
  const [campaign] = await selectCampaigns(sql, campaignId)
  return campaign
}

async function selectCampaigns(sql: Queryable, campaignId?: number): Promise<CampaignRow[]> {
  const rows = await sql<Record<string, unknown>[]>`
    select c.campaign_id, c.name, c.segment_id, s.slug, c.status, c.created_at,
      array_agg(ch.channel order by ch.channel) as channels
    from campaigns c
    join segments s using (segment_id)
    join campaign_channels ch using (campaign_id)
    ${campaignId === undefined ? sql`` : sql`where c.campaign_id = ${campaignId}`}
    group by c.campaign_id, s.slug
    order by c.campaign_id`
  return rows.map((row) => ({
    campaignId: Number(row.campaign_id),
    name: String(row.name),
    segmentId: Number(row.segment_id),
    segmentSlug: String(row.slug),
    status: row.status as CampaignRow['status'],
    channels: row.channels as Channel[],
    createdAt: row.created_at as Date,
  }))
}

export async function setCampaignStatus(
  sql: Queryable,
  campaignId: number,
  status: CampaignRow['status'],
): Promise<boolean> {
  const updated = await sql`update campaigns set status = ${status} where campaign_id = ${campaignId}`
  return updated.count === 1
}

/** All that one message is made of; undefined when the campaign has no such channel any more, or there is no such profile. */
export type MessageParts = {
  campaign: { name: string; status: CampaignRow['status'] }
  segment: { slug: string; name: string }
  template: TemplateText
  profile: { userId: string | null; traits: Record<string, unknown>; mergedInto: number | null }
}

export async function readMessageParts(
  servers: Servers,
  message: { campaignId: number; channel: Channel; profileId: number },
): Promise<MessageParts | undefined> {
  const { profileId } = message
  const [profile] = await servers.of(profileId)<MessageParts['profile'][]>`
    select user_id as "userId", traits, merged_into as "mergedInto"
    from profiles where bucket = ${profileId % 1024} and profile_id = ${profileId}`
  const [row] = await servers.home<Record<string, unknown>[]>`
    select c.name, c.status, s.slug, s.name as segment_name, t.subject, t.body, t.html
    from campaigns c
    join segments s using (segment_id)
    join campaign_channels ch on ch.campaign_id = c.campaign_id and ch.channel = ${message.channel}
    join templates t using (template_id)
    where c.campaign_id = ${message.campaignId}`
  if (row === undefined || profile === undefined) return undefined
  return {
    campaign: { name: String(row.name), status: row.status as CampaignRow['status'] },
    segment: { slug: String(row.slug), name: String(row.segment_name) },
    template: {
      subject: String(row.subject),
      body: String(row.body),
      html: row.html === null ? null : String(row.html),
    },
    profile,
  }
}
