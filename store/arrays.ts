// Array parameters as Postgres array literals. The driver's own encoding of arrays costs about 2 µs an element, which on
// the hot path is more than Postgres needs for the row; a literal is passed through as it is.

/** `{1,2,3}` for `::int[]`, `::bigint[]`, `::smallint[]`; null stays null. */
export function intArray(values: (number | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : value)).join(',')}}`
}

/** `{"a","b"}` for `::text[]`; null stays null. */
export function textArray(values: (string | null | undefined)[]): string {
  return `{${values.map(quote).join(',')}}`
}

const SPECIAL = /["\\]/

function quote(value: string | null | undefined): string {
  if (value === null || value === undefined) return 'NULL'
  return SPECIAL.test(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : `"${value}"`
}
