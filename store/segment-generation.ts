// The generation of the segments: a number that rises with every change of one. Passes, persist and readers see by it that what
// they remember is old, and what Redis serves of memberships says by which generation it was made: what was made before a rule
// went live, or before Redis missed what it should have been told, is not believed.
import type { Queryable, Sql, Transaction } from './sql.ts'
import { inTransaction } from './sql.ts'

/** So that every process reads the segments anew; `live` = the segment that has another rule from now on. Returns the generation. */
export async function bumpGeneration(tx: Transaction, live?: number): Promise<number> {
  const [row] = await tx<{ generation: number }[]>`
    insert into settings (name, value) values ('segments_generation', '1')
    on conflict (name) do update set value = to_jsonb((settings.value #>> '{}')::bigint + 1)
    returning (value #>> '{}')::bigint as generation`
  const generation = row?.generation ?? 0
  if (live !== undefined)
    await tx`
      insert into settings (name, value) values ('segments_live_since', ${tx.json({ [live]: generation })})
      on conflict (name) do update set value = settings.value || excluded.value`
  return generation
}

/** Of the segment of a statement's row `s`: the generation in which its rule went live. */
export const liveSinceOf = (sql: Queryable) => sql`
  coalesce((select (value ->> s.segment_id::text)::bigint from settings where name = 'segments_live_since'), 0)`

/** Changes with every change of a segment. */
export async function segmentsGeneration(sql: Queryable): Promise<number> {
  return (await generationSeen(sql, 0)).generation
}

export type GenerationSeen = {
  generation: number
  /** Redis is believed of what was made by this generation or a later one. */
  servedSince: number
  /** The transaction of the given number is over, in the same look. */
  isOver: boolean
}

export async function generationSeen(sql: Queryable, transaction: number): Promise<GenerationSeen> {
  const [row] = await sql<GenerationSeen[]>`
    select coalesce(max((value #>> '{}')::bigint) filter (where name = 'segments_generation'), 0) as generation,
      coalesce(max((value #>> '{}')::bigint) filter (where name = 'served_since'), 0) as "servedSince",
      pg_visible_in_snapshot(${String(transaction)}::text::xid8, pg_current_snapshot()) as "isOver"
    from settings
    where name in ('segments_generation', 'served_since')`
  if (row === undefined) throw new Error('an aggregate has a row')
  return row
}

/**
 * For who has committed what Redis could not be told, with `generation` as read before: what Redis serves by it or an earlier one is
 * not believed any more, by no reader for longer than it remembers what it saw here.
 */
export async function doubtServedUpTo(home: Sql, generation: number): Promise<void> {
  await inTransaction(home, async (tx) => {
    if ((await generationSeen(tx, 0)).servedSince <= generation) await doubtAllServed(tx)
  })
}

/** The same of everything that is served until now, for who is about to commit in this transaction. */
export async function doubtAllServed(home: Transaction): Promise<void> {
  const generation = await bumpGeneration(home)
  await home`
    insert into settings (name, value) values ('served_since', to_jsonb(${generation}::bigint))
    on conflict (name) do update set value = excluded.value`
}
