// What a statement has to know from home, where names of events, ids of people and lists are, also when the people it asks
// about live on another server.
import { intArray, textArray } from '../arrays.ts'
import type { Queryable } from '../sql.ts'
import type { EventName, HomeFacts } from './scope.ts'

export type Asked = { names: EventName[]; lists: string[] }

export async function readHomeFacts(home: Queryable, asked: Asked, profileIds: number[]): Promise<HomeFacts> {
  const names = asked.names.length === 0 ? [] : await readNames(home, asked.names)
  const listed = asked.lists.length === 0 ? [] : await readListed(home, asked.lists, profileIds)
  return {
    // Without a name it is every one of that type, but for track calls.
    eventIds: ({ type, event }) =>
      names
        .filter((one) => one.type === type && (one.name === event || (event === '' && type !== 'track')))
        .map((one) => one.eventId),
    listed: (slug) => listed.filter((one) => one.slug === slug).map((one) => one.profileId),
  }
}

async function readNames(
  home: Queryable,
  names: EventName[],
): Promise<{ type: string; name: string; eventId: number }[]> {
  return home`
    select n.type, n.name, n.event_id as "eventId"
    from event_names n
    where exists (
      select
      from unnest(${textArray(names.map((one) => one.type))}::text[], ${textArray(names.map((one) => one.event))}::text[]) as w (type, name)
      where w.type = n.type and (w.name = n.name or w.name = '')
    )`
}

/** Whether any user id of the person is in it, also one from before a merge: kind 0 is user ids. */
async function readListed(
  home: Queryable,
  lists: string[],
  profileIds: number[],
): Promise<{ slug: string; profileId: number }[]> {
  return home`
    select distinct l.slug, i.profile_id as "profileId"
    from identities i
    join list_members m on m.user_id = i.value
    join lists l on l.list_id = m.list_id
    where i.kind = 0 and i.profile_id = any(${intArray(profileIds)}::bigint[])
      and l.slug = any(${textArray(lists)}::text[])`
}
