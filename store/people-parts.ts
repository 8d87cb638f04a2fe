// Who is in a part of everybody (domain/segments/random-parts.ts), on whichever server.
import type { Part } from '../domain/segments/random-parts.ts'
import { intArray } from './arrays.ts'
import type { Servers } from './servers.ts'
import type { Sql } from './sql.ts'

/** Profile numbers by the server that has their rows. Needs the primary key (bucket, profile_id). */
export function peopleIn(servers: Servers, { buckets, slice, slices }: Part): Promise<[Sql, number[]][]> {
  const byServer = Map.groupBy(buckets, (bucket) => servers.of(bucket))
  return Promise.all(
    [...byServer].map(async ([sql, own]): Promise<[Sql, number[]]> => {
      const rows = await sql<{ profile_id: number }[]>`
        select profile_id from profiles
        where bucket = any(${intArray(own)}::smallint[]) and merged_into is null
          ${slices === 1 ? sql`` : sql`and (hashint8(profile_id) & ${slices - 1}::int) = ${slice}::int`}`
      return [sql, rows.map((row) => row.profile_id)]
    }),
  )
}

/** How many people are in one bucket. */
export async function countBucket(servers: Servers, bucket: number): Promise<number> {
  const [row] = await servers.of(bucket)<{ people: number }[]>`
    select count(*)::int as people from profiles where bucket = ${bucket} and merged_into is null`
  return row?.people ?? 0
}
