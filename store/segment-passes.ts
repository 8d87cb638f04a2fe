// Rows of passes: what each looked at, found and took. Written by the pass in its own transaction, read by the API, deleted by the
// clock after two days.

import type { PendingQuery, Row } from 'postgres'
import { rangeOfProfile } from '../domain/buckets.ts'
import { intArray, textArray } from './arrays.ts'
import { pageOfAll, type Servers } from './servers.ts'
import type { Queryable, Transaction } from './sql.ts'

export type NewPass = {
  asOfMs: number
  shards: number[]
  reasons: string[]
  /** Named, and of these evaluated. */
  profiles: number
  evaluated: number
  segments: number
  /** Person and segment, decided. */
  pairs: number
  /** Not those of shadows: what there is a change of. */
  entered: number
  exited: number
  lagMs: number | null
}

/**
 * To be sent as the last of the pass: what it took is counted up to here. `isIdle` = the pass has written nothing else: its commit then does not wait for the disk, as all that a crash could take is the
 * row of a pass that changed nothing. `profileId` = any of its people.
 */
export function passStatement(
  tx: Transaction,
  pass: NewPass,
  { isIdle, profileId }: { isIdle: boolean; profileId: number },
): PendingQuery<Row[]> {
  return tx`
    insert into segment_passes (as_of, pass_id, shards, reasons, profiles, evaluated, segments, pairs, entered, exited, duration_ms, lag_ms)
    select at_ms(${pass.asOfMs}), nextval('segment_pass_numbers') * 16 + ${rangeOfProfile(profileId)}, ${intArray(pass.shards)}::smallint[],
      ${textArray(pass.reasons)}::text[], ${pass.profiles}, ${pass.evaluated}, ${pass.segments}, ${pass.pairs}, ${pass.entered}, ${pass.exited},
      extract(epoch from clock_timestamp() - now()) * 1000, ${pass.lagMs}
    ${isIdle ? tx`where set_config('synchronous_commit', 'off', true) is not null` : tx``}`
}

export type PassRow = Omit<NewPass, 'asOfMs'> & { passId: number; asOf: Date; durationMs: number }
export type PassKey = { asOfMs: number; passId: number }

/**
 * Newest first, after `after`. Uses the key, backwards; with a shard it reads over the rows of others, of which there are some for
 * each of its own.
 */
export async function listPasses(
  servers: Servers,
  { shard, after, limit }: { shard: number | undefined; after: PassKey | undefined; limit: number },
): Promise<PassRow[]> {
  return pageOfAll(
    servers,
    limit,
    (sql) => sql<PassRow[]>`
      select pass_id as "passId", as_of as "asOf", shards, reasons, profiles, evaluated, segments, pairs, entered, exited,
        duration_ms as "durationMs", lag_ms as "lagMs"
      from segment_passes
      where true
        ${after === undefined ? sql`` : sql`and (as_of, pass_id) < (at_ms(${after.asOfMs}), ${after.passId})`}
        ${shard === undefined ? sql`` : sql`and ${shard}::smallint = any(shards)`}
      order by as_of desc, pass_id desc
      limit ${limit}`,
    (a, b) => b.asOf.getTime() - a.asOf.getTime() || b.passId - a.passId,
  )
}

/** Deletes at most `limit` passes from before a time, the oldest first; returns how many. */
export async function deletePassesBefore(sql: Queryable, before: Date, limit: number): Promise<number> {
  const deleted = await sql`
    delete from segment_passes
    where ctid = any(array(
      select ctid from segment_passes where as_of < ${before} order by as_of limit ${limit}
    ))`
  return deleted.count
}
