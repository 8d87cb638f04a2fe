// Which lists the people of a pass are in: one statement, at home, where the ids of people and the lists are, however many
// lists and people there are. Merged people have all ids of those they were.
import { intArray, textArray } from './arrays.ts'
import type { Queryable } from './sql.ts'

/**
 * Slugs of those of `lists` that have one of a profile's user ids, by profile; who is in none is left out. Lateral, and kept so
 * by the aggregate and the offset: a look into the keys for each person and id, also while there are no statistics yet, as after
 * a restore or the first upload. The `+ 0` keeps the kind from being looked up for itself. 300 people took 4 s as a plain join.
 */
export async function readListsOf(
  home: Queryable,
  lists: string[],
  profileIds: number[],
): Promise<Map<number, Set<string>>> {
  if (lists.length === 0 || profileIds.length === 0) return new Map()
  const rows = await home<{ profile_id: number; slugs: string[] }[]>`
    select ids.profile_id, found.slugs
    from unnest(${intArray(profileIds)}::bigint[]) as ids (profile_id)
    cross join lateral (
      select array_agg(named.slug) as slugs
      from identities i
      cross join lateral (
        select l.slug
        from list_members m
        join lists l on l.list_id = m.list_id
        where m.list_id = any(array(select list_id from lists where slug = any(${textArray(lists)}::text[])))
          and m.user_id = i.value
        offset 0
      ) named
      where i.profile_id = ids.profile_id and i.kind + 0 = 0
    ) found
    where found.slugs is not null`
  return new Map(rows.map((row) => [row.profile_id, new Set(row.slugs)]))
}
