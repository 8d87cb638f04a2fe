// Whether a value fits a condition of a rule, on jsonb. Typed: a text never equals a number; what is missing, or null, fits
// `missing` alone. True, false, or null for false: whoever negates it has to say so.
import type { Comparison, Scalar, TraitOp } from '../../schema/rule.ts'
import type { Queryable } from '../sql.ts'
import { type Fragment, unsupported } from './scope.ts'

export type Condition = { op: TraitOp; value?: Scalar | Scalar[] }

export function operator(sql: Queryable, op: Comparison): Fragment {
  switch (op) {
    case 'gt':
      return sql`>`
    case 'gte':
      return sql`>=`
    case 'lt':
      return sql`<`
    case 'lte':
      return sql`<=`
    case 'eq':
      return sql`=`
    case 'ne':
      return sql`<>`
  }
}

/** `found` is a jsonb expression. */
export function fits(sql: Queryable, found: Fragment, { op, value }: Condition): Fragment {
  const missing = isMissing(sql, found)
  if (op === 'missing') return missing
  if (op === 'exists') return sql`not ${missing}`
  if (Array.isArray(value)) return sql`(not ${missing} and ${fitsList(sql, found, op, value)})`
  return sql`(not ${missing} and ${fitsScalar(sql, found, op, value ?? '')})`
}

export function isMissing(sql: Queryable, found: Fragment): Fragment {
  return sql`(coalesce(jsonb_typeof(${found}), 'null') = 'null')`
}

/** The text of a jsonb string; null for anything else. */
export function textOf(sql: Queryable, found: Fragment): Fragment {
  return sql`(case jsonb_typeof(${found}) when 'string' then ${found} #>> '{}' end)`
}

/** The number of a jsonb number; null for anything else. */
export function numberOf(sql: Queryable, found: Fragment): Fragment {
  return sql`(case jsonb_typeof(${found}) when 'number' then (${found} #>> '{}')::numeric end)`
}

/** All but `in` look at the items of an array, and at a single value as at an array of one. */
function fitsList(sql: Queryable, found: Fragment, op: TraitOp, wanted: Scalar[]): Fragment {
  const list = sql`${sql.json(wanted)}::jsonb`
  if (op === 'in') return sql`${list} @> jsonb_build_array(${found})`
  const items = sql`(case jsonb_typeof(${found}) when 'array' then ${found} else jsonb_build_array(${found}) end)`
  const any = sql`exists (select from jsonb_array_elements(${list}) as w (item) where ${items} @> jsonb_build_array(w.item))`
  switch (op) {
    case 'anyOf':
      return any
    case 'allOf':
      return sql`${items} @> ${list}`
    case 'noneOf':
      return sql`not ${any}`
    default:
      return sql`false`
  }
}

function fitsScalar(sql: Queryable, found: Fragment, op: TraitOp, wanted: Scalar): Fragment {
  const text = textOf(sql, found)
  const asked = String(wanted)
  switch (op) {
    case 'eq':
      return sql`${found} = ${sql.json(wanted)}::jsonb`
    case 'ne':
      return sql`${found} <> ${sql.json(wanted)}::jsonb`
    case 'contains':
      return sql`(case jsonb_typeof(${found})
        when 'array' then ${found} @> jsonb_build_array(${asked}::text)
        else strpos(${text}, ${asked}::text) > 0 end)`
    case 'startsWith':
      return sql`starts_with(${text}, ${asked}::text)`
    case 'endsWith':
      return sql`right(${text}, char_length(${asked}::text)) = ${asked}::text`
    case 'like':
      return sql`${text} like ${likeOf(asked)}::text`
    case 'matches':
      throw unsupported('"matches"')
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte':
      if (typeof wanted === 'number')
        return sql`${numberOf(sql, found)} ${operator(sql, op)} ${asked}::numeric`
      if (typeof wanted === 'string')
        return sql`${ordered(sql, text)} ${operator(sql, op)} ${ordered(sql, sql`${asked}::text`)}`
      return sql`false`
    default:
      return sql`false`
  }
}

/** A pattern with * and ? as SQL has it, with % and _; both take what follows a backslash for itself. */
function likeOf(pattern: string): string {
  return pattern.replace(/\\.|[*?%_]/gsu, (part) => {
    if (part === '*') return '%'
    if (part === '?') return '_'
    if (part === '%' || part === '_') return `\\${part}`
    return part === '\\\\' ? part : part.slice(1)
  })
}

/**
 * A text as it is ordered by UTF-16 units, which is how JavaScript orders: what lies above U+DFFF comes after the characters
 * of two units. By bytes alone they would come the other way round.
 */
function ordered(sql: Queryable, text: Fragment): Fragment {
  return sql`(regexp_replace(${text}, '[\\uE000-\\uFFFF]', chr(1114111) || '\\&', 'g') collate "C")`
}
