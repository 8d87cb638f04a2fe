// Conditions on reaching somebody: consent, and what became of messages.
import Type, { type Static } from 'typebox'
import { CHANNELS } from './jobs.ts'
import { COMPARISONS, object, oneOf, text, Window } from './rule-parts.ts'

/** Channels that write to an address of the person. */
export const ADDRESSED = ['email', 'push', 'sms'] as const
export const REACH_STATES = ['subscribed', 'unsubscribed', 'suppressed', 'none'] as const
export type ReachState = (typeof REACH_STATES)[number]

export const CATEGORY_STATES = ['granted', 'denied', 'unknown'] as const
export type CategoryState = (typeof CATEGORY_STATES)[number]

/** What becomes of a message: `sent` by Millrace itself, the others by events of Segment's email and mobile specs. */
export const MESSAGE_DEEDS = [
  'sent',
  'delivered',
  'opened',
  'clicked',
  'bounced',
  'complained',
  'unsubscribed',
] as const
export type MessageDeed = (typeof MESSAGE_DEEDS)[number]
export const MOST_MESSAGES = 1_000_000

export const ReachNode = object({
  k: Type.Literal('consent'),
  channel: oneOf(ADDRESSED),
  state: oneOf(REACH_STATES),
})
export type ReachNode = Static<typeof ReachNode>

export const CategoryNode = object({
  k: Type.Literal('consent'),
  category: text('Key of `context.consent.categoryPreferences`'),
  state: oneOf(CATEGORY_STATES),
})
export type CategoryNode = Static<typeof CategoryNode>

export const MessageNode = object({
  k: Type.Literal('message'),
  did: oneOf(MESSAGE_DEEDS),
  channel: Type.Optional(oneOf(CHANNELS)),
  campaign: Type.Optional(text('Name or number of the campaign')),
  window: Window,
  op: oneOf(COMPARISONS),
  value: Type.Integer({ minimum: 0, maximum: MOST_MESSAGES }),
})
export type MessageNode = Static<typeof MessageNode>
