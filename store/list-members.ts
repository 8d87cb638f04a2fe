// Which lists the people of a pass are in: one statement, at home, where the ids of people and the lists are, however many
// lists and people there are. Merged people have all ids of those they were.
import { intArray, textArray } from './arrays.ts'
import type { Queryable } from './sql.ts'

/** Slugs of those of `lists` that have one of a profile's user ids, by profile; who is in none is left out. */
export async function readListsOf(
  home: Queryable,
  lists: string[],
  profileIds: number[],
): Promise<Map<number, Set<string>>> {
  if (lists.length === 0 || profileIds.length === 0) return new Map()
  const rows = await home<{ profile_id: number; slugs: string[] }[]>`
    select i.profile_id, array_agg(l.slug) as slugs
    from unnest(${intArray(profileIds)}::bigint[]) as ids (profile_id)
    join identities i on i.profile_id = ids.profile_id and i.kind = 0
    cross join (select list_id, slug from lists where slug = any(${textArray(lists)}::text[])) l
    join list_members m on m.list_id = l.list_id and m.user_id = i.value
    group by i.profile_id`
  return new Map(rows.map((row) => [row.profile_id, new Set(row.slugs)]))
}
