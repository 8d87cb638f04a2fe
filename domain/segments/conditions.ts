// Whether a trait or a property fits a condition. Typed: a text never equals a number; what is missing fits nothing but
// `missing`. Texts are ordered by their characters. Pure.
import type { Scalar, TraitOp } from '../../schema/rule.ts'
import { holdsFor } from './decimals.ts'
import { fitsPattern, isPatternOp } from './patterns.ts'

export type Condition = { op: TraitOp; value?: Scalar | Scalar[] }

export function conditionHolds(found: unknown, condition: Condition): boolean {
  const { op, value } = condition
  const missing = found === undefined || found === null
  if (op === 'missing') return missing
  if (missing) return false
  if (op === 'exists') return true
  if (value === undefined) return false
  if (isPatternOp(op)) return typeof found === 'string' && fitsPattern(condition, found)
  return Array.isArray(value) ? fitsList(found, op, value) : fitsScalar(found, op, value)
}

/** The list operators but `in` look at the items of an array, and at a single value as at an array of one. */
function fitsList(found: unknown, op: TraitOp, wanted: Scalar[]): boolean {
  if (op === 'in') return wanted.some((one) => one === found)
  const items: unknown[] = Array.isArray(found) ? found : [found]
  switch (op) {
    case 'anyOf':
      return wanted.some((one) => items.includes(one))
    case 'allOf':
      return wanted.every((one) => items.includes(one))
    case 'noneOf':
      return !wanted.some((one) => items.includes(one))
    default:
      return false
  }
}

function fitsScalar(found: unknown, op: TraitOp, wanted: Scalar): boolean {
  switch (op) {
    case 'eq':
      return found === wanted
    case 'ne':
      return found !== wanted
    case 'contains':
      return Array.isArray(found)
        ? found.includes(wanted)
        : typeof found === 'string' && found.includes(String(wanted))
    case 'startsWith':
      return typeof found === 'string' && found.startsWith(String(wanted))
    case 'endsWith':
      return typeof found === 'string' && found.endsWith(String(wanted))
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte':
      if (typeof found === 'number' && typeof wanted === 'number')
        return holdsFor(Math.sign(found - wanted), op)
      if (typeof found === 'string' && typeof wanted === 'string')
        return holdsFor(found < wanted ? -1 : found > wanted ? 1 : 0, op)
      return false
    default:
      return false
  }
}

/** `address.city` looks for a key of that name first, then down the objects. */
export function valueAt(traits: Record<string, unknown>, path: string): unknown {
  if (Object.hasOwn(traits, path)) return traits[path]
  let at: unknown = traits
  for (const part of path.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined
    at = Reflect.get(at, part)
  }
  return at
}
