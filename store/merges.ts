// Merging profiles and moving an anonymous id between them: re-keys the events, then rebuilds traits, sessions and
// first and last seen of everyone concerned from the events themselves. Runs under the exclusive merge lock.
import { rangeOfProfile } from '../domain/buckets.ts'
import { isBlockedId } from '../domain/identity.ts'
import { withCalls } from '../domain/trait-since.ts'
import { intArray, textArray } from './arrays.ts'
import { type JointTransaction, StartAgain } from './joint-transaction.ts'
import { lockProfiles, writeTraits } from './profiles-write.ts'
import type { Transaction } from './sql.ts'

/** Moves all that is the loser's to the winner. Both numbers are existing profiles; the caller orders merges. */
export async function mergeProfiles(joint: JointTransaction, loser: number, winner: number): Promise<void> {
  const { home } = joint
  await home`insert into profile_merges (loser_id, winner_id) values (${loser}, ${winner})`
  const userOfLoser = (await lockBoth(joint, [loser, winner])).get(loser) ?? null
  await rekeyEvents(joint, loser, winner)
  await home`update identities set profile_id = ${winner} where profile_id = ${loser}`
  await joint.of(loser)`
    update profiles set merged_into = ${winner}
    where bucket = ${loser % 1024} and profile_id = ${loser}`
  await joint.of(winner)`
    update profiles set user_id = coalesce(user_id, ${userOfLoser})
    where bucket = ${winner % 1024} and profile_id = ${winner}`
  await joint.of(loser)`
    delete from user_aggregates where bucket = ${loser % 1024} and profile_id = ${loser}`
  await rebuildProfiles(joint, [loser, winner])
}

/** Moves the events that are this anonymous id's alone: it turned out to belong to somebody else first. */
export async function moveAnonymous(
  joint: JointTransaction,
  anonymousId: string,
  from: number,
  to: number,
): Promise<void> {
  const { home } = joint
  await home`insert into profile_merges (loser_id, winner_id, anonymous_id) values (${from}, ${to}, ${anonymousId})`
  await lockBoth(joint, [from, to])
  await rekeyEvents(joint, from, to, {
    anonymousId,
    besideUserIds: await nobodysIds(joint.of(from), from, anonymousId),
  })
  await rebuildProfiles(joint, [from, to])
}

/** Returns the user id of each. Throws when one is not there yet: the group that made it is about to commit. */
async function lockBoth(joint: JointTransaction, profileIds: number[]): Promise<Map<number, string | null>> {
  const users = new Map<number, string | null>()
  await joint.each(profileIds, rangeOfProfile, async (tx, some) => {
    for (const [profileId, userId] of await lockProfiles(tx, some)) users.set(profileId, userId)
  })
  if (users.size < profileIds.length) throw new StartAgain('a profile to merge is not on its server yet')
  return users
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
  joint: JointTransaction,
  from: number,
  to: number,
  only?: { anonymousId: string; besideUserIds: string[] },
): Promise<void> {
  const [source, target] = [joint.of(from), joint.of(to)]
  const which = source`bucket = ${from % 1024} and profile_id = ${from} ${
    only === undefined
      ? source``
      : source`and anonymous_id = ${only.anonymousId}
          and (user_id is null or user_id = any(${textArray(only.besideUserIds)}::text[]))`
  }`
  const weeks = await source<{ week: string }[]>`
    select distinct week_of(time)::text as week from events where ${which}`
  await target`
    select ensure_event_partition(${rangeOfProfile(to)}, week)
    from unnest(${textArray(weeks.map((row) => row.week))}::date[]) as w (week) order by week`
  if (source === target) {
    await source`update events set profile_id = ${to}, bucket = ${to % 1024} where ${which}`
    return
  }
  // Between two servers: whole rows as text, which the table's own type reads again.
  const rows = source<{ row: string }[]>`select e::text as row from events e where ${which}`
  for await (const some of rows.cursor(MOVED_ROWS)) {
    await target`
      insert into events (bucket, event_id, source_id, marks, profile_id, time, received_at, value, currency,
        message_id, user_id, anonymous_id, properties, envelope)
      select ${to % 1024}, (e).event_id, (e).source_id, (e).marks, ${to}, (e).time, (e).received_at, (e).value, (e).currency,
        (e).message_id, (e).user_id, (e).anonymous_id, (e).properties, (e).envelope
      from (select row::events as e from unnest(${textArray(some.map(({ row }) => row))}::text[]) as t (row)) moved`
  }
  await source`delete from events where ${which}`
}

const MOVED_ROWS = 1000

async function rebuildProfiles(joint: JointTransaction, profileIds: number[]): Promise<void> {
  const rows = await joint.home<
    { event_id: number }[]
  >`select event_id from event_names where type = 'identify'`
  const identifyIds = rows.map((row) => row.event_id)
  for (const profileId of profileIds) await rebuildProfile(joint.of(profileId), profileId, identifyIds)
}

/** Traits, sessions, first and last seen as if all events had just arrived. */
async function rebuildProfile(tx: Transaction, profileId: number, identifyIds: number[]): Promise<void> {
  const bucket = profileId % 1024
  await tx`
    update profiles p
    set first_seen = coalesce(e.first, p.first_seen), last_seen = coalesce(e.last, p.last_seen)
    from (select min(time) as first, max(time) as last from events where bucket = ${bucket} and profile_id = ${profileId}) e
    where p.bucket = ${bucket} and p.profile_id = ${profileId}`
  const identifies = await tx<{ traits: Record<string, unknown>; time: Date; message_id: string }[]>`
    select e.properties as traits, e.time, e.message_id
    from events e
    where e.bucket = ${bucket} and e.profile_id = ${profileId} and e.event_id = any(${intArray(identifyIds)}::smallint[])`
  const calls = identifies.map((row) => ({
    ...{ traits: row.traits, timeMs: row.time.getTime(), messageId: row.message_id },
  }))
  await writeTraits(tx, new Map([[profileId, withCalls({ traits: {}, times: {} }, calls)]]))
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
