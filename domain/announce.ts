// Which messages an entry stands for: one job per active campaign of the segment and channel. The delivery key is made
// of the campaign and the change, so that the same entry announced again is the same delivery. Pure.
import type { Channel, DeliveryJob } from '../schema/jobs.ts'

export type PendingChange = {
  changeId: number
  segmentId: number
  profileId: number
  op: 'enter' | 'exit'
  reason: string
}
export type CampaignOfSegment = {
  campaignId: number
  segmentId: number
  triggerReasons: string[]
  channels: Channel[]
}

type Moved = Pick<PendingChange, 'segmentId' | 'op' | 'reason'>

/** Whether it triggers any of the campaigns, and so has to be handed on. */
export function isTrigger(change: Moved, campaigns: CampaignOfSegment[]): boolean {
  return campaigns.some((campaign) => isTriggered(campaign, change))
}

function isTriggered({ segmentId, triggerReasons }: CampaignOfSegment, change: Moved): boolean {
  return change.op === 'enter' && segmentId === change.segmentId && triggerReasons.includes(change.reason)
}

export function deliveriesOf(change: PendingChange, campaigns: CampaignOfSegment[]): DeliveryJob[] {
  return campaigns
    .filter((campaign) => isTriggered(campaign, change))
    .flatMap((campaign) =>
      campaign.channels.map((channel) => ({
        v: 1 as const,
        channel,
        deliveryKey: `c${campaign.campaignId}-s${change.changeId}`,
        campaignId: campaign.campaignId,
        profileId: change.profileId,
        changeId: change.changeId,
      })),
    )
}
