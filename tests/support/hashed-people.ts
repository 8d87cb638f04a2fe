// Profiles as bare rows in the buckets that their ids hash to, with traits, so that a part of the buckets is a random part of
// them as in life; and people who crowd into one bucket.
import { bucketOf } from '../../domain/buckets.ts'
import type { Servers } from '../../store/servers.ts'

export type HashedPerson = { userId: string; traits: Record<string, unknown> }

/** Returns their profile numbers, in order. `bucket` = all of them in that one. */
export async function addHashedPeople(
  servers: Servers,
  people: HashedPerson[],
  { firstNumber = 1, bucket }: { firstNumber?: number; bucket?: number } = {},
): Promise<number[]> {
  const rows = people.map(({ userId, traits }, i) => ({
    id: (firstNumber + i) * 1024 + (bucket ?? bucketOf(userId)),
    user: userId,
    traits,
  }))
  for (const [sql, own] of Map.groupBy(rows, ({ id }) => servers.of(id)))
    await sql`
      insert into profiles (bucket, profile_id, first_id, user_id, traits, first_seen, last_seen)
      select id & 1023, id, "user", "user", traits, now(), now()
      from jsonb_to_recordset(${JSON.stringify(own)}::text::jsonb) as p (id bigint, "user" text, traits jsonb)`
  await servers.home`
    insert into identities (kind, value, profile_id)
    select 0, "user", id from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as p (id bigint, "user" text)`
  return rows.map(({ id }) => id)
}
