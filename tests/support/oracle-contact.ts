// What conditions on consent and messages mean, said plainly for the segment oracle.
import type { Channel } from '../../schema/jobs.ts'
import type { CategoryNode, MessageNode, ReachNode } from '../../schema/rule.ts'
import type { OracleEvent } from './oracle-event.ts'
import { SUPPRESSED } from './random-contact.ts'

const TRAITS: Record<string, string[]> = {
  email: ['email'],
  push: ['pushToken', 'push_token', 'deviceToken'],
  sms: ['phone'],
}

/** Why the address on a channel is suppressed; '' = it is not, undefined = there is none. */
function reasonOf(channel: string, traits: Record<string, unknown>): string | undefined {
  const address = (TRAITS[channel] ?? [])
    .map((name) => traits[name])
    .find((value) => typeof value === 'string' && value.trim() !== '')
  if (typeof address !== 'string') return undefined
  const spelled = channel === 'email' ? address.trim().toLowerCase() : address.trim()
  return SUPPRESSED.find((one) => one.channel === channel && one.address === spelled)?.reason ?? ''
}

/** What a pass reads of the suppressions for somebody. */
export function suppressedOf(traits: Record<string, unknown>): Map<Channel, string> {
  const channels: Channel[] = ['email', 'push', 'sms']
  return new Map(
    channels.flatMap((channel) => {
      const reason = reasonOf(channel, traits)
      return reason === undefined || reason === '' ? [] : [[channel, reason] as const]
    }),
  )
}

export function consentHolds(
  node: ReachNode | CategoryNode,
  traits: Record<string, unknown>,
  events: OracleEvent[],
  atMs: number,
): boolean {
  if ('channel' in node) {
    const reason = reasonOf(node.channel, traits)
    const state =
      reason === undefined
        ? 'none'
        : reason === ''
          ? 'subscribed'
          : reason === 'unsubscribed'
            ? 'unsubscribed'
            : 'suppressed'
    return state === node.state
  }
  const said = events.flatMap((event) => {
    const speaks = event.type === 'identify' || event.name === 'Segment Consent Preference Updated'
    const preferences = event.context?.consent?.categoryPreferences ?? {}
    const answer = Object.entries(preferences).find(([key]) => key === node.category)?.[1]
    return speaks && event.time <= atMs && typeof answer === 'boolean' ? [{ time: event.time, answer }] : []
  })
  const last = Math.max(...said.map((one) => one.time))
  const newest = said.filter((one) => one.time === last)
  const state = newest.length === 0 ? 'unknown' : newest.every((one) => one.answer) ? 'granted' : 'denied'
  return state === node.state
}

/** Spec events of each deed, by the word they begin with. */
const SPEC: Record<string, string[]> = {
  delivered: ['Email Delivered', 'Push Notification Received'],
  opened: ['Email Opened', 'Push Notification Tapped'],
  clicked: ['Email Link Clicked', 'Push Notification Tapped'],
  bounced: ['Email Bounced', 'Push Notification Bounced'],
  complained: ['Email Marked as Spam'],
  unsubscribed: ['Unsubscribed'],
}

/** Whether an event is such a deed, of the campaign and on the channel that the condition names. */
export function isDeed({ did, channel, campaign }: MessageNode, event: OracleEvent): boolean {
  const { properties, context } = event
  if (campaign !== undefined) {
    const object = properties.campaign as { name?: unknown } | string | undefined
    const named = [
      properties.campaign_id,
      properties.campaign_name,
      typeof object === 'object' ? object.name : object,
      context?.campaign?.name,
    ]
    if (!named.some((one) => one === campaign || (typeof one === 'number' && `${one}` === campaign)))
      return false
  }
  if (did === 'sent')
    return event.type === 'message' && (channel === undefined || properties.channel === channel)
  if (event.type !== 'track' || !(SPEC[did] ?? []).includes(event.name)) return false
  return channel === undefined || event.name.startsWith('Push') === (channel === 'push')
}
