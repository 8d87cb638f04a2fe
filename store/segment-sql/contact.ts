// Conditions on what somebody consented to, and on what became of messages, as far as events say it. Refused as `unsupported`:
// whether an address may be written to, as suppressed addresses are known by a keyed hash alone, and what we have sent
// ourselves, as that lies with the deliveries of whoever the person was before a merge.
import type { CategoryNode, MessageNode, ReachNode } from '../../schema/rule.ts'
import { operator } from './conditions.ts'
import { isOne } from './events.ts'
import { type Fragment, joined, type Scope, unsupported } from './scope.ts'
import { isInWindow } from './windows.ts'

/** Segment's event for it, and identify calls. */
const STATEMENTS = [{ event: 'Segment Consent Preference Updated' }, { type: 'identify', event: '' }]

/** The newest statement counts, and of several at that instant a refusal. */
export function consentHolds(scope: Scope, node: ReachNode | CategoryNode): Fragment {
  const { sql } = scope
  if ('channel' in node) throw unsupported('"consent" on a channel')
  return sql`(
    select case when count(*) = 0 then 'unknown' when bool_and(s.granted) then 'granted' else 'denied' end = ${node.state}::text
    from (
      select (c.answer #>> '{}')::boolean as granted, e.time, max(e.time) over () as newest
      from events e
      cross join lateral (select e.envelope::jsonb #> '{context,consent,categoryPreferences}' -> ${node.category}::text as answer) c
      where ${isAny(scope, STATEMENTS)} and jsonb_typeof(c.answer) = 'boolean'
    ) s
    where s.time = s.newest
  )`
}

/** Names of Segment's email and mobile specs. */
const DEEDS: Record<string, { email?: string; push?: string }> = {
  delivered: { email: 'Email Delivered', push: 'Push Notification Received' },
  opened: { email: 'Email Opened', push: 'Push Notification Tapped' },
  clicked: { email: 'Email Link Clicked', push: 'Push Notification Tapped' },
  bounced: { email: 'Email Bounced', push: 'Push Notification Bounced' },
  complained: { email: 'Email Marked as Spam' },
  unsubscribed: { email: 'Unsubscribed' },
}

export function messageHolds(scope: Scope, node: MessageNode): Fragment {
  const { sql } = scope
  const { did, channel, campaign, window } = node
  if (did === 'sent') throw unsupported('messages that were sent')
  const names = Object.entries(DEEDS[did] ?? {}).flatMap(([on, event]) =>
    channel === undefined || channel === on ? [{ event }] : [],
  )
  const isOfCampaign = campaign === undefined ? sql`true` : isNamed(sql, campaign)
  return sql`(
    select count(*) ${operator(sql, node.op)} ${node.value}::int
    from events e
    where ${isAny(scope, names)} and ${isInWindow(scope, window, (anchor) => isOne(scope, anchor))} and ${isOfCampaign}
  )`
}

/** By a text or number in one of the places where events name their campaign. */
function isNamed(sql: Scope['sql'], campaign: string): Fragment {
  return sql`exists (
    select
    from (values
      (e.properties -> 'campaign_id'), (e.properties -> 'campaign_name'), (e.envelope::jsonb #> '{context,campaign,name}'),
      (case jsonb_typeof(e.properties -> 'campaign') when 'object' then e.properties #> '{campaign,name}' else e.properties -> 'campaign' end)
    ) as n (name)
    where jsonb_typeof(n.name) in ('string', 'number') and n.name #>> '{}' = ${campaign}::text
  )`
}

function isAny(scope: Scope, events: Parameters<typeof isOne>[1][]): Fragment {
  const each = events.map((one) => scope.sql`(${isOne(scope, one)})`)
  return each.length === 0 ? scope.sql`false` : scope.sql`(${joined(scope.sql, each, scope.sql`or`)})`
}
