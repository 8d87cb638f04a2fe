// Segments that refer to other segments, as they are live now: checked in the transaction that changes one, under a lock, so
// that two changes at once cannot make a circle.
import { referencesOf, refusedReference } from '../domain/segments/references.ts'
import { fail } from '../runtime/errors.ts'
import type { Rule } from '../schema/rule.ts'
import type { Queryable, Transaction } from './sql.ts'

/** Until the end of the transaction nobody else changes a segment. */
export async function lockSegments(tx: Transaction): Promise<void> {
  await tx`select pg_advisory_xact_lock(hashtextextended(current_schema() || '.segments', 0))`
}

/** Throws `invalid_rule` when the rule, as that of `slug`, names a segment that is not live, or comes back to itself. */
export async function mustReferWell(sql: Queryable, slug: string, rule: Rule): Promise<void> {
  const references = referencesOf(rule.match)
  if (references.length === 0) return
  const refused = refusedReference(slug, references, await liveReferences(sql, slug))
  if (refused !== undefined) throw fail('invalid_rule', `rule.match ${refused}`, { field: 'rule.match' })
}

/** Throws `conflict` when a live segment refers to it. */
export async function mustNotBeReferredTo(sql: Queryable, slug: string): Promise<void> {
  for (const [other, references] of await liveReferences(sql, slug))
    if (references.includes(slug))
      throw fail('conflict', `the segment "${other}" refers to it: change or archive that one first`)
}

/** What every live segment but `slug` refers to. */
async function liveReferences(sql: Queryable, slug: string): Promise<Map<string, string[]>> {
  const rows = await sql<{ slug: string; rule: Rule }[]>`
    select s.slug, v.rule
    from segments s
    join segment_versions v on v.segment_id = s.segment_id and v.version = s.live_version
    where s.archived_at is null and s.slug <> ${slug}`
  return new Map(rows.map((row) => [row.slug, referencesOf(row.rule.match)]))
}
