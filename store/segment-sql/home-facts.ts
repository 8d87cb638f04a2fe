// What a statement has to know from home, where names of events, ids of people, lists and metrics are, also when the people it
// asks about live on another server.
import type { MetricDefinition } from '../../schema/metric.ts'
import { intArray, textArray } from '../arrays.ts'
import type { Queryable } from '../sql.ts'
import type { EventName, HomeFacts, HomeMetric } from './scope.ts'

export type Asked = { names: EventName[]; lists: string[] }

/** Definitions say what else is asked: they are read before the rest. */
export async function readHomeMetrics(home: Queryable, slugs: string[]): Promise<Map<string, HomeMetric>> {
  const rows = await home<
    {
      slug: string
      definition: MetricDefinition
      cutDefinition: MetricDefinition | null
      points: string[] | null
    }[]
  >`
    select m.slug, v.definition, w.definition as "cutDefinition", c.points
    from metrics m
    join metric_versions v on v.metric_id = m.metric_id and v.version = m.live_version
    left join metric_cuts c on c.metric_id = m.metric_id and c.cut_version = m.live_cuts
    left join metric_versions w on w.metric_id = c.metric_id and w.version = c.metric_version
    where m.archived_at is null and m.slug = any(${textArray(slugs)}::text[])`
  return new Map(
    rows.map(({ slug, definition, cutDefinition, points }) => [
      slug,
      cutDefinition === null || points === null
        ? { definition }
        : { definition, cuts: { definition: cutDefinition, points } },
    ]),
  )
}

export async function readHomeFacts(
  home: Queryable,
  asked: Asked,
  profileIds: number[],
): Promise<Omit<HomeFacts, 'metric'>> {
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
