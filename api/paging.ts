// Keyset pages: `limit` and an opaque `cursor`, which is the key of the last row shown. No offsets, so a page costs the
// same wherever it is. Used by every list route.
import Type, { type Static, type TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { fail } from '../runtime/errors.ts'

export const PageQuery = {
  limit: Type.Integer({ minimum: 1, maximum: 500, default: 50, description: 'Rows a page', examples: [50] }),
  cursor: Type.Optional(
    Type.String({ maxLength: 1000, description: '`nextCursor` of the page before; absent = the first page' }),
  ),
}

/** Members of a cursor's key, bounded so that a made-up cursor cannot reach past what Postgres can hold. */
export const KeyNumber = Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER })
export const KeyTime = Type.Integer({ minimum: -62_135_596_800_000, maximum: 253_402_300_799_999 })
export const KeyText = Type.String({ maxLength: 512, pattern: '^[^\\u0000]*$' })

/** `{ data, nextCursor }`; `nextCursor` is null on the last page. */
export function pageOf<Row extends TSchema>(row: Row) {
  return Type.Object({ data: Type.Array(row), nextCursor: Type.Union([Type.String(), Type.Null()]) })
}

/** A page as a client reads it. */
export type Page<Row> = { data: Row[]; nextCursor: string | null }

/** Cuts rows read with `limit + 1` to a page. */
export function toPage<Row>(rows: Row[], limit: number, keyOf: (row: Row) => unknown): Page<Row> {
  const data = rows.slice(0, limit)
  const last = data.at(-1)
  const nextCursor = rows.length > limit && last !== undefined ? encodeCursor(keyOf(last)) : null
  return { data, nextCursor }
}

export function encodeCursor(key: unknown): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** The key inside a cursor, checked against its shape; `invalid_request` when it was not made by us. `place` = where it stands. */
export function decodeCursor<Key extends TSchema>(
  key: Key,
  cursor: string | undefined,
  place = 'query.cursor',
): Static<Key> | undefined {
  if (cursor === undefined) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (Value.Check(key, value)) return value
  } catch {
    // Not JSON: the same answer as a wrong shape.
  }
  throw fail('invalid_request', `${place} is not one of ours; take nextCursor of the page before`, {
    field: 'cursor',
  })
}
