// Merging profiles and moving an anonymous id between them: re-keys the events, then rebuilds traits, sessions and
// first and last seen of everyone concerned from the events themselves. Runs under the exclusive merge lock.
import { isBlockedId } from '../domain/identity.ts'
import { mergeTraits, type TraitState, traitsOf } from '../domain/traits.ts'
import { textArray } from './arrays.ts'
import { writeTraits } from './profiles-write.ts'
import type { Transaction } from './sql.ts'

/** Moves all that is the loser's to the winner. Both numbers are existing profiles; the caller orders merges. */
export async function mergeProfiles(tx: Transaction, loser: number, winner: number): Promise<void> {
  await tx`insert into profile_merges (loser_id, winner_id) values (${loser}, ${winner})`
  await lockProfiles(tx, [loser, winner])
  await rekeyEvents(tx, loser, winner)
  await tx`update identities set profile_id = ${winner} where profile_id = ${loser}`
  await tx`
    update profiles set merged_into = ${winner}
    where bucket = ${loser % 1024} and profile_id = ${loser}`
  await tx`
    update profiles w set user_id = coalesce(w.user_id, l.user_id)
    from profiles l
    where w.bucket = ${winner % 1024} and w.profile_id = ${winner}
      and l.bucket = ${loser % 1024} and l.profile_id = ${loser}`
  await tx`delete from user_aggregates where bucket = ${loser % 1024} and profile_id = ${loser}`
  await rebuildProfile(tx, loser)
  await rebuildProfile(tx, winner)
}

/** Moves the events that are this anonymous id's alone: it turned out to belong to somebody else first. */
export async function moveAnonymous(
  tx: Transaction,
  anonymousId: string,
  from: number,
  to: number,
): Promise<void> {
  await tx`insert into profile_merges (loser_id, winner_id, anonymous_id) values (${from}, ${to}, ${anonymousId})`
  await lockProfiles(tx, [from, to])
  await rekeyEvents(tx, from, to, {
    anonymousId,
    besideUserIds: await nobodysIds(tx, from, anonymousId),
  })
  await rebuildProfile(tx, from)
  await rebuildProfile(tx, to)
}

async function lockProfiles(tx: Transaction, profileIds: number[]): Promise<void> {
  const sorted = [...profileIds].sort((a, b) => a - b)
  for (const id of sorted) {
    await tx`select 1 from profiles where bucket = ${id % 1024} and profile_id = ${id} for update`
  }
}

/** User ids beside this anonymous id that stand for nobody: their events are the anonymous id's. */
async function nobodysIds(tx: Transaction, profileId: number, anonymousId: string): Promise<string[]> {
  const rows = await tx<{ user_id: string }[]>`
    select distinct user_id from events
    where bucket = ${profileId % 1024} and profile_id = ${profileId}
      and anonymous_id = ${anonymousId} and user_id is not null`
  return rows.map((row) => row.user_id).filter(isBlockedId)
}

/** All events, or those of `only`: of this anonymous id with no user id or one of these. */
async function rekeyEvents(
  tx: Transaction,
  from: number,
  to: number,
  only?: { anonymousId: string; besideUserIds: string[] },
): Promise<void> {
  const which =
    only === undefined
      ? tx``
      : tx`and anonymous_id = ${only.anonymousId}
          and (user_id is null or user_id = any(${textArray(only.besideUserIds)}::text[]))`
  await tx`
    select ensure_event_partition(${to % 1024} >> 6, week)
    from (select distinct week_of(time) as week from events
          where bucket = ${from % 1024} and profile_id = ${from} ${which}) weeks`
  await tx`
    update events set profile_id = ${to}, bucket = ${to % 1024}
    where bucket = ${from % 1024} and profile_id = ${from} ${which}`
}

/** Traits, sessions, first and last seen as if all events had just arrived. */
async function rebuildProfile(tx: Transaction, profileId: number): Promise<void> {
  const bucket = profileId % 1024
  await tx`
    update profiles p
    set first_seen = coalesce(e.first, p.first_seen), last_seen = coalesce(e.last, p.last_seen)
    from (select min(time) as first, max(time) as last from events where bucket = ${bucket} and profile_id = ${profileId}) e
    where p.bucket = ${bucket} and p.profile_id = ${profileId}`
  const identifies = await tx<{ traits: Record<string, unknown>; time: Date; message_id: string }[]>`
    select e.properties as traits, e.time, e.message_id
    from events e
    join event_names n using (event_id)
    where e.bucket = ${bucket} and e.profile_id = ${profileId} and n.type = 'identify'`
  let state: TraitState = { traits: {}, times: {} }
  for (const row of identifies)
    state = mergeTraits(state, traitsOf(row.traits, row.time.getTime(), row.message_id))
  await writeTraits(tx, new Map([[profileId, state]]))
  await tx`delete from sessions where bucket = ${bucket} and profile_id = ${profileId}`
  await tx`
    insert into sessions (bucket, profile_id, started_at, ended_at, events, first_message_id, device, locale, campaign, landing_page, country)
    select ${bucket}::smallint, ${profileId}::bigint, first.time, run.ended_at, run.events, first.message_id,
      first.landing ->> 'device', first.landing ->> 'locale', first.landing ->> 'campaign', first.landing ->> 'page', first.landing ->> 'country'
    from (
      select (array_agg(ord order by ord))[1] as first_ord, max(time) as ended_at, count(*)::int as events
      from (
        select ord, time, count(*) filter (where starts) over (order by ord) as run_no
        from (
          select row_number() over w as ord, time,
            coalesce(time - lag(time) over w > interval '30 minutes', true) as starts
          from events where bucket = ${bucket} and profile_id = ${profileId}
          window w as (order by time, message_id)
        ) marked
      ) numbered
      group by run_no
    ) run
    join (
      select row_number() over (order by time, message_id) as ord, time, message_id,
        envelope -> 'millrace' -> 'landing' as landing
      from events where bucket = ${bucket} and profile_id = ${profileId}
    ) first on first.ord = run.first_ord`
}
