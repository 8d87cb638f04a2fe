// Changes that are committed but not yet handed to the deliver queues, and the campaigns they may trigger. Used by the
// segment pool right after its pass, and by the sweep for what was left behind.
import type { CampaignOfSegment, PendingChange } from '../domain/announce.ts'
import type { Channel } from '../schema/jobs.ts'
import { intArray } from './arrays.ts'
import type { Queryable } from './sql.ts'

type Row = { change_id: number; segment_id: number; profile_id: number; op: 'enter' | 'exit'; reason: string }

/** Unannounced changes of the given profiles, also those of an earlier attempt. Each looks into its own partition alone. */
export async function pendingChangesOf(sql: Queryable, profileIds: number[]): Promise<PendingChange[]> {
  if (profileIds.length === 0) return []
  const rows = await sql<Row[]>`
    select c.change_id, c.segment_id, c.profile_id, c.op, c.reason
    from unnest(${intArray(profileIds)}::bigint[]) as ids (profile_id)
    join lateral (
      select change_id, segment_id, profile_id, op, reason
      from membership_changes
      where bucket = (ids.profile_id & 1023) and profile_id = ids.profile_id and announced_at is null
    ) c on true
    order by c.change_id`
  return rows.map(toPending)
}

/** Unannounced changes recorded before a time, oldest first. */
export async function pendingChangesBefore(
  sql: Queryable,
  before: Date,
  limit: number,
): Promise<PendingChange[]> {
  const rows = await sql<Row[]>`
    select change_id, segment_id, profile_id, op, reason
    from membership_changes
    where announced_at is null and recorded_at < ${before}
    order by recorded_at
    limit ${limit}`
  return rows.map(toPending)
}

export async function markAnnounced(sql: Queryable, changes: PendingChange[]): Promise<void> {
  if (changes.length === 0) return
  await sql`
    update membership_changes c
    set announced_at = clock_timestamp()
    from unnest(${intArray(changes.map((change) => change.profileId))}::bigint[], ${intArray(changes.map((change) => change.changeId))}::bigint[]) as done (profile_id, change_id)
    where c.bucket = (done.profile_id & 1023) and c.change_id = done.change_id and c.announced_at is null`
}

/** Active campaigns with their channels. */
export async function activeCampaigns(sql: Queryable): Promise<CampaignOfSegment[]> {
  const rows = await sql<
    { campaign_id: number; segment_id: number; trigger_reasons: string[]; channels: Channel[] }[]
  >`
    select c.campaign_id, c.segment_id, c.trigger_reasons, array_agg(ch.channel order by ch.channel) as channels
    from campaigns c
    join campaign_channels ch using (campaign_id)
    where c.status = 'active'
    group by c.campaign_id`
  return rows.map((row) => ({
    campaignId: row.campaign_id,
    segmentId: row.segment_id,
    triggerReasons: row.trigger_reasons,
    channels: row.channels,
  }))
}

function toPending(row: Row): PendingChange {
  return {
    changeId: row.change_id,
    segmentId: row.segment_id,
    profileId: row.profile_id,
    op: row.op,
    reason: row.reason,
  }
}
