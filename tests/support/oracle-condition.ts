// What a condition on a trait or property means, said plainly for the segment oracle.
import type { Comparison, Scalar, TraitOp } from '../../schema/rule.ts'

export function condition(found: unknown, op: TraitOp, wanted: Scalar | Scalar[] | undefined): boolean {
  const missing = found === undefined || found === null
  if (op === 'missing') return missing
  if (missing) return false
  if (op === 'exists') return true
  if (op === 'in') return Array.isArray(wanted) && wanted.some((one) => one === found)
  if (op === 'anyOf' || op === 'allOf' || op === 'noneOf') {
    const items: unknown[] = Array.isArray(found) ? found : [found]
    const list = Array.isArray(wanted) ? wanted : []
    const hits = list.filter((one) => items.some((item) => item === one)).length
    return op === 'anyOf' ? hits > 0 : op === 'allOf' ? hits === list.length : hits === 0
  }
  if (op === 'eq') return found === wanted
  if (op === 'ne') return found !== wanted
  if (op === 'contains')
    return Array.isArray(found)
      ? found.includes(wanted)
      : typeof found === 'string' && found.includes(String(wanted))
  if (op === 'startsWith') return typeof found === 'string' && found.startsWith(String(wanted))
  if (op === 'endsWith') return typeof found === 'string' && found.endsWith(String(wanted))
  if (op === 'like') return typeof found === 'string' && isLike([...found], [...String(wanted)])
  if (op === 'matches') return typeof found === 'string' && new RegExp(String(wanted), 'u').test(found)
  if (typeof found === 'number' && typeof wanted === 'number') return compare(found, op, wanted)
  if (typeof found === 'string' && typeof wanted === 'string')
    return compare(found < wanted ? -1 : found > wanted ? 1 : 0, op, 0)
  return false
}

export function compare(left: number, op: Comparison, right: number): boolean {
  switch (op) {
    case 'gt':
      return left > right
    case 'gte':
      return left >= right
    case 'lt':
      return left < right
    case 'lte':
      return left <= right
    case 'eq':
      return left === right
    case 'ne':
      return left !== right
  }
}

/** Every way to share the text out among the stars is tried. */
function isLike(text: string[], pattern: string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return text.length === 0
  if (first === '*') return isLike(text, rest) || (text.length > 0 && isLike(text.slice(1), pattern))
  if (first === '?') return text.length > 0 && isLike(text.slice(1), rest)
  const [literal, ...later] = first === '\\' ? rest : pattern
  return text[0] === literal && isLike(text.slice(1), later)
}
