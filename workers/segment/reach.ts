// The addresses that live rules ask about in a pass: noted before its transaction begins, so that whoever suppresses one from
// then on finds the people to be looked at again. See store/reach.ts for why that misses nobody.
import { hashedAddresses } from '../../domain/addresses.ts'
import type { Channel } from '../../schema/jobs.ts'
import { readProfileStates } from '../../store/memberships.ts'
import { noteAskedAddresses } from '../../store/reach.ts'
import type { Sql } from '../../store/sql.ts'

/** Whose traits change after this look is touched by that, and comes again. */
export async function noteAddresses(
  { sql, home }: { sql: Sql; home: Sql },
  channels: Channel[],
  { profileIds, secret }: { profileIds: number[]; secret: string },
): Promise<void> {
  if (channels.length === 0) return
  const people = await readProfileStates(sql, profileIds, true)
  await noteAskedAddresses(home, hashedAddresses(channels, people, secret))
}
