// Lists of user ids: uploaded whole, replaced in one transaction, at home. Who reads one sees it as it was before an upload or
// as it is after. Plans a run when a segment asks about a list that changed.
import { once } from 'node:events'
import { fail } from '../runtime/errors.ts'
import { openCopyIn } from './copy-stream.ts'
import { escapeCopy } from './events.ts'
import { askersOf, lockSegments, segmentWithList } from './segment-references.ts'
import { createRun } from './segment-runs.ts'
import { inTransaction, type Queryable, type Sql, type Transaction } from './sql.ts'

export type ListRow = {
  listId: number
  slug: string
  /** Rises with every upload that changed who is in it. */
  version: number
  members: number
  createdAt: Date
  updatedAt: Date
}
/** `runId` = the run that evaluates everybody for the segments that ask about it, if any does. */
export type Replaced = { list: ListRow; isChanged: boolean; runId: number | undefined }

/** The COPY lasts as long as the sender takes, then a million ids are sorted in. */
const UPLOAD_MS = 180_000

const columns = (sql: Queryable) =>
  sql`list_id as "listId", slug, version, members, created_at as "createdAt", updated_at as "updatedAt"`

export async function listLists(sql: Queryable): Promise<ListRow[]> {
  return sql<ListRow[]>`select ${columns(sql)} from lists order by slug`
}

export async function readList(sql: Queryable, slug: string): Promise<ListRow | undefined> {
  const [row] = await sql<ListRow[]>`select ${columns(sql)} from lists where slug = ${slug}`
  return row
}

/**
 * Makes the list exactly the ids of `chunks`, which are read as fast as Postgres takes them; repeats do no harm. Throws what
 * reading `chunks` throws, and then nothing is changed. No other upload waits while the ids come in: the list is locked
 * only to compare them. Order of locks: a list, then segments.
 */
export function replaceList(sql: Sql, slug: string, chunks: AsyncIterable<string[]>): Promise<Replaced> {
  return inTransaction(sql, async (tx) => {
    await tx`select set_config('statement_timeout', ${String(UPLOAD_MS)}, true)`
    await tx`create temporary table uploaded_ids (user_id text not null) on commit drop`
    await copyIds(tx, chunks)
    await tx`analyze uploaded_ids`
    const [locked] = await tx<{ list_id: number; version: number }[]>`
      insert into lists (slug) values (${slug})
      on conflict (slug) do update set slug = excluded.slug
      returning list_id, version`
    if (locked === undefined) throw new Error('a list was neither made nor found')
    const change = await takeUploaded(tx, locked.list_id)
    const isChanged = locked.version === 0 || change.left + change.came > 0
    const runId = isChanged ? await storeVersion(tx, { listId: locked.list_id, slug, ...change }) : undefined
    const list = await readList(tx, slug)
    if (list === undefined) throw new Error('a list that is locked is not there')
    return { list, isChanged, runId }
  })
}

async function copyIds(tx: Transaction, chunks: AsyncIterable<string[]>): Promise<void> {
  const { stream, failed } = await openCopyIn(tx`copy uploaded_ids (user_id) from stdin`)
  try {
    for await (const ids of chunks) {
      const rows = ids.map((id) => `${escapeCopy(id)}\n`).join('')
      if (rows !== '' && !stream.write(rows)) await Promise.race([once(stream, 'drain'), failed])
    }
    const finished = once(stream, 'finish')
    finished.catch(() => {})
    stream.end()
    await Promise.race([finished, failed])
  } catch (error) {
    // Else Postgres would wait for more rows instead of rolling back.
    stream.destroy(new Error('the upload was given up'))
    throw error
  }
}

/** Writes only what differs: who uploads a list every day, a little changed, writes a little. */
async function takeUploaded(tx: Transaction, listId: number): Promise<{ left: number; came: number }> {
  const left = await tx`
    delete from list_members m
    where m.list_id = ${listId}
      and not exists (select 1 from uploaded_ids u where u.user_id = m.user_id)`
  const came = await tx`
    insert into list_members (list_id, user_id)
    select distinct ${listId}::int, user_id from uploaded_ids order by user_id
    on conflict (list_id, user_id) do nothing`
  return { left: left.count, came: came.count }
}

/** Under the lock of segments: one that comes to ask about the list meanwhile either is seen here or sees the new list. */
async function storeVersion(
  tx: Transaction,
  { listId, slug, left, came }: { listId: number; slug: string; left: number; came: number },
): Promise<number | undefined> {
  await lockSegments(tx)
  const [row] = await tx<{ version: number }[]>`
    update lists
    set version = version + 1, members = members + ${came - left}, updated_at = clock_timestamp()
    where list_id = ${listId}
    returning version`
  const segmentIds = await askersOf(tx, { list: slug })
  if (segmentIds.length === 0) return undefined
  const version = row?.version ?? 0
  return createRun(tx, { of: { listId }, version, reason: 'rule_changed', source: 'everybody', segmentIds })
}

/** False when there is none. Throws `conflict` while a live segment asks about it. */
export async function deleteList(sql: Sql, slug: string): Promise<boolean> {
  return inTransaction(sql, async (tx) => {
    const [row] = await tx<{ list_id: number }[]>`
      select list_id from lists where slug = ${slug} for update`
    if (row === undefined) return false
    await lockSegments(tx)
    const user = await segmentWithList(tx, slug)
    if (user !== undefined)
      throw fail('conflict', `the segment "${user}" asks about it: change or archive that one first`)
    await tx`delete from lists where list_id = ${row.list_id}`
    return true
  })
}
