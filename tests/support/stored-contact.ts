// What random rules ask about reaching people, as it is stored: campaigns, suppressed addresses, and messages that were sent.
import { addressHash } from '../../domain/addresses.ts'
import type { Sql } from '../../store/sql.ts'
import { suppress } from '../../store/suppressions.ts'
import { normalEvent } from './factory.ts'
import type { OracleEvent } from './oracle-event.ts'
import { CAMPAIGNS, SUPPRESSED } from './random-contact.ts'

export const SECRET = 'the secret of this deployment'

/** The campaigns are on a segment that has nobody in it. */
export async function storeContact(sql: Sql): Promise<void> {
  await sql`insert into segments (slug, name, archived_at) values ('nobody', 'Nobody', now())`
  for (const name of CAMPAIGNS)
    await sql`insert into campaigns (name, segment_id) select ${name}, segment_id from segments where slug = 'nobody'`
  for (const { channel, address, reason } of SUPPRESSED)
    await suppress(sql, { channel, addressHash: addressHash(SECRET, channel, address), reason })
}

type Who = { userId?: string; anonymousId?: string }

/** Events as persist takes them; what we have sent is none. */
export function asNormal(events: OracleEvent[], who: Who) {
  return events
    .filter((event) => event.type !== 'message')
    .map(({ value, properties, context, type, ...event }) =>
      normalEvent({
        ...event,
        ...who,
        type: type === 'page' || type === 'identify' ? type : 'track',
        properties: JSON.stringify(properties),
        envelope: JSON.stringify({ context }),
        ...(value === undefined ? {} : { value: String(value) }),
      }),
    )
}

let delivered = 0

/** Rows as the deliver pool leaves them, for people who are known; beside each message one that came to nothing. */
export async function storeSent(sql: Sql, events: OracleEvent[], who: Who): Promise<void> {
  const rows = events
    .filter((event) => event.type === 'message')
    .flatMap(({ time, properties }) =>
      ['sent', 'failed'].map((state) => {
        delivered += 1
        return { state, n: delivered, ...properties, sentAt: state === 'sent' ? new Date(time) : null }
      }),
    )
  if (rows.length === 0) return
  await sql`
    insert into deliveries (bucket, delivery_key, channel, campaign_id, profile_id, change_id, state, sent_at)
    select i.profile_id & 1023, 'c' || m.campaign_id || '-s' || m.n || '-' || m.channel, m.channel, m.campaign_id, i.profile_id, m.n,
      m.state, m."sentAt"
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb)
      as m (state text, n int, campaign_id int, channel text, "sentAt" timestamptz)
    join identities i on i.value = ${who.userId ?? who.anonymousId ?? ''}`
}
