// Random addresses, consent and messages for the segment oracle, and rules on them. What was sent is an event of the type
// `message`, as the oracle sees it; through Postgres it becomes a row of deliveries.
import fc from 'fast-check'
import { CHANNELS } from '../../schema/jobs.ts'
import type { Comparison, RuleNode, Window } from '../../schema/rule.ts'
import { ADDRESSED, CATEGORY_STATES, MESSAGE_DEEDS, REACH_STATES } from '../../schema/rule-contact.ts'
import type { OracleEvent } from './oracle-event.ts'

/** Traits that are addresses, or nearly. */
export const addresses = {
  email: fc.constantFrom<unknown>('in@x.example', ' Out@X.example ', 'gone@x.example', '  ', 7),
  pushToken: fc.constantFrom('token-in', ''),
  push_token: fc.constantFrom('token-out'),
  phone: fc.constantFrom('+491', '+492'),
}

/** Suppressed for everybody who has them. */
export const SUPPRESSED = [
  { channel: 'email', address: 'out@x.example', reason: 'unsubscribed' },
  { channel: 'email', address: 'gone@x.example', reason: 'bounced' },
  { channel: 'push', address: 'token-out', reason: 'manual' },
  { channel: 'sms', address: '+492', reason: 'unsubscribed' },
] as const

/** In the order of their numbers, from 1 on. */
export const CAMPAIGNS = ['Welcome', 'Win back']

const campaignProps = fc.constantFrom<Record<string, unknown>>(
  {},
  { campaign_id: 1 },
  { campaign_id: '2', campaign_name: 'Win back' },
  { campaign_name: 'Welcome' },
  { campaign: { name: 'Welcome', medium: 'Push' } },
  { campaign: 'Win back' },
  { campaign: { name: ['Welcome'] } },
)
const NAMES = [
  'Email Delivered',
  'Email Opened',
  'Email Link Clicked',
  'Email Bounced',
  'Email Marked as Spam',
  'Unsubscribed',
  'Push Notification Received',
  'Push Notification Tapped',
  'Push Notification Bounced',
]
const consents = fc.constantFrom<unknown>(
  { Advertising: true },
  { Advertising: false, Analytics: true },
  { Advertising: false },
  { Advertising: 'yes', Analytics: false },
  {},
  null,
)

/** An event of somebody at one of `times`: a message that we sent, what became of one, or consent. */
export const contactEvent = (times: fc.Arbitrary<number>): fc.Arbitrary<OracleEvent> =>
  fc.oneof(
    fc
      .record({ time: times, campaign: fc.constantFrom(1, 2), channel: fc.constantFrom(...CHANNELS) })
      .map(({ time, campaign, channel }) => ({
        type: 'message',
        name: 'sent',
        time,
        properties: { campaign_id: campaign, campaign_name: CAMPAIGNS[campaign - 1], channel },
      })),
    fc
      .record({
        time: times,
        name: fc.constantFrom(...NAMES),
        properties: campaignProps,
        campaign: fc.option(fc.constantFrom('Welcome', 'Summer'), { nil: undefined }),
      })
      .map(({ campaign, ...event }) => ({
        type: 'track',
        ...event,
        ...(campaign === undefined ? {} : { context: { campaign: { name: campaign } } }),
      })),
    fc
      .record({
        time: times,
        call: fc.constantFrom(
          { type: 'track', name: 'Segment Consent Preference Updated' },
          { type: 'identify', name: '' },
          { type: 'track', name: 'Viewed' },
        ),
        categoryPreferences: consents,
      })
      .map(({ time, call, categoryPreferences }) => ({
        ...call,
        time,
        properties: {},
        context: { consent: { categoryPreferences } },
      })),
  )

const reach: fc.Arbitrary<RuleNode> = fc
  .record({ channel: fc.constantFrom(...ADDRESSED), state: fc.constantFrom(...REACH_STATES) })
  .map((rest) => ({ k: 'consent' as const, ...rest }))
const category: fc.Arbitrary<RuleNode> = fc
  .record({
    category: fc.constantFrom('Advertising', 'Analytics', 'constructor'),
    state: fc.constantFrom(...CATEGORY_STATES),
  })
  .map((rest) => ({ k: 'consent' as const, ...rest }))

/** Conditions on consent and messages; the windows and comparisons are those of the other rules. */
export function contactLeaf(
  window: fc.Arbitrary<Window>,
  op: fc.Arbitrary<Comparison>,
): fc.Arbitrary<RuleNode> {
  const message: fc.Arbitrary<RuleNode> = fc
    .record({
      did: fc.constantFrom(...MESSAGE_DEEDS, 'sent' as const, 'opened' as const),
      rest: fc.record(
        {
          channel: fc.constantFrom(...CHANNELS),
          campaign: fc.constantFrom('Welcome', 'Win back', '1', 'Welcome'),
        },
        { requiredKeys: [] },
      ),
      window,
      op,
      value: fc.integer({ min: 0, max: 2 }),
    })
    .map(({ did, rest, ...others }) => {
      const { channel, ...campaign } = rest
      const isKnown =
        did === 'sent' ||
        channel === 'email' ||
        (channel === 'push' && did !== 'complained' && did !== 'unsubscribed')
      const named = isKnown && channel !== undefined ? { channel } : {}
      return { k: 'message' as const, did, ...named, ...campaign, ...others }
    })
  return fc.oneof(reach, category, { weight: 3, arbitrary: message })
}
