// Which events say what became of a message, and what somebody consented to: the names of Segment's email, mobile and
// consent specs. Messages that Millrace has sent come from its own deliveries, as events of a type of their own. Pure.
import type { Channel } from '../../schema/jobs.ts'
import type { MessageNode } from '../../schema/rule.ts'
import type { MessageDeed } from '../../schema/rule-contact.ts'

/** Parts of an event's context: the name of its campaign, and its preferences by consent category. */
export type ContextPart = 'campaign' | 'consent'

type Events = { type: string; event: string }

/** No event is sent with this type: it stands for the rows of `deliveries`. */
export const SENT: Events = { type: 'message', event: 'sent' }

export function isSent({ type }: { type: string }): boolean {
  return type === SENT.type
}

const DEEDS: Record<Exclude<MessageDeed, 'sent'>, Partial<Record<Channel, string>>> = {
  delivered: { email: 'Email Delivered', push: 'Push Notification Received' },
  opened: { email: 'Email Opened', push: 'Push Notification Tapped' },
  clicked: { email: 'Email Link Clicked', push: 'Push Notification Tapped' },
  bounced: { email: 'Email Bounced', push: 'Push Notification Bounced' },
  complained: { email: 'Email Marked as Spam' },
  unsubscribed: { email: 'Unsubscribed' },
}

/** Channels of which such a deed is known; undefined = all, as we send on them ourselves. */
export function channelsOf(did: MessageDeed): Channel[] | undefined {
  return did === 'sent' ? undefined : (Object.keys(DEEDS[did]) as Channel[])
}

/** The events that count as the deed, on one channel or on all, and what of them tells the campaign. */
export function messageEvents({
  did,
  channel,
  campaign,
}: Pick<MessageNode, 'did' | 'channel' | 'campaign'>): {
  events: Events[]
  props: string[]
  context: ContextPart[]
} {
  const props = campaign === undefined ? [] : [...CAMPAIGN_PROPS]
  if (did === 'sent') return { events: [SENT], props: [...props, 'channel'], context: [] }
  const channels = channel === undefined ? (Object.keys(DEEDS[did]) as Channel[]) : [channel]
  const names = channels.flatMap((one) => DEEDS[did][one] ?? [])
  return {
    events: names.map((event) => ({ type: 'track', event })),
    props,
    context: campaign === undefined ? [] : ['campaign'],
  }
}

/** The email spec's two, and the object of the mobile spec. */
export const CAMPAIGN_PROPS = ['campaign_id', 'campaign_name', 'campaign'] as const

/** Whether an event names the campaign, by its number or name. */
export function isOfCampaign(
  campaign: string,
  { props, context }: { props: Record<string, unknown>; context?: Partial<Record<ContextPart, unknown>> },
): boolean {
  const object = props.campaign
  const name: unknown = typeof object === 'object' && object !== null ? Reflect.get(object, 'name') : object
  return [props.campaign_id, props.campaign_name, name, context?.campaign].some(
    (one) => (typeof one === 'string' || typeof one === 'number') && String(one) === campaign,
  )
}

/** What states consent: Segment's own event for it, and identify calls. */
export const CONSENT_EVENTS: Events[] = [
  { type: 'track', event: 'Segment Consent Preference Updated' },
  { type: 'identify', event: '' },
]
