// Decides a plan for one profile from the values of its scans and its traits, and says when time alone may change the
// answer. Two-valued: no data means count and sum are 0, and everything else about it is false. Pure.
import type { Comparison, Scalar, TraitOp } from '../../schema/rule.ts'
import type { Expr, Leaf, Plan } from './plan.ts'

/** What one scan found for one profile. Amounts are exact decimal text. */
export type ScanValue = {
  /** Events. */
  count: number
  /** Events that carry the aggregated value. */
  valued: number
  sum: string
  min: string | null
  max: string | null
  /** Earliest instant (ms) at which an event leaves the window without new data; null = never. */
  leavesAt: number | null
  /** Earliest instant (ms) at which an event counts that is dated ahead; null = there is none. */
  entersAt: number | null
}

export const EMPTY_SCAN: ScanValue = {
  count: 0,
  valued: 0,
  sum: '0',
  min: null,
  max: null,
  leavesAt: null,
  entersAt: null,
}

export type Decision = { member: boolean; wakeAt: number | null }

export function decide(plan: Plan, scans: Map<string, ScanValue>, traits: Record<string, unknown>): Decision {
  const wakeUps: number[] = []
  const truths = plan.leaves.map((leaf) => {
    if (leaf.k === 'trait') return traitHolds(traits, leaf)
    const value = scans.get(leaf.scan) ?? EMPTY_SCAN
    const holds = aggregateHolds(leaf, value)
    if (value.entersAt !== null) wakeUps.push(value.entersAt)
    // A count that is too low does not grow by what leaves: such a leaf needs no wake-up for it.
    const frozen = !holds && leaf.agg === 'count' && (leaf.op === 'gt' || leaf.op === 'gte')
    if (value.leavesAt !== null && !frozen) wakeUps.push(value.leavesAt)
    return holds
  })
  const wakeAt = wakeUps.length === 0 ? null : Math.min(...wakeUps)
  return { member: holdsAll(plan.expr, truths), wakeAt }
}

function holdsAll(expr: Expr, truths: boolean[]): boolean {
  switch (expr.k) {
    case 'leaf':
      return truths[expr.leaf] ?? false
    case 'not':
      return !holdsAll(expr.of, truths)
    case 'all':
      return expr.of.every((child) => holdsAll(child, truths))
    case 'any':
      return expr.of.some((child) => holdsAll(child, truths))
    case 'atLeast':
      return expr.of.filter((child) => holdsAll(child, truths)).length >= expr.n
  }
}

function aggregateHolds(leaf: Extract<Leaf, { k: 'agg' }>, value: ScanValue): boolean {
  switch (leaf.agg) {
    case 'count':
      return compares(compareDecimals(String(value.count), leaf.value), leaf.op)
    case 'sum':
      return compares(compareDecimals(value.sum, leaf.value), leaf.op)
    case 'min':
      return value.min !== null && compares(compareDecimals(value.min, leaf.value), leaf.op)
    case 'max':
      return value.max !== null && compares(compareDecimals(value.max, leaf.value), leaf.op)
    case 'avg': {
      if (value.valued === 0) return false
      // sum / n <op> value is sum <op> value × n, without dividing.
      return compares(compareDecimals(value.sum, multiply(leaf.value, value.valued)), leaf.op)
    }
  }
}

function compares(order: number, op: Comparison): boolean {
  switch (op) {
    case 'gt':
      return order > 0
    case 'gte':
      return order >= 0
    case 'lt':
      return order < 0
    case 'lte':
      return order <= 0
    case 'eq':
      return order === 0
    case 'ne':
      return order !== 0
  }
}

type Decimal = { digits: bigint; scale: number }

function parseDecimal(text: string): Decimal {
  const plain = /e/i.test(text) ? Number(text).toFixed(20) : text
  const [whole = '0', fraction = ''] = plain.replace('+', '').split('.')
  return { digits: BigInt(`${whole}${fraction}`), scale: fraction.length }
}

/** -1, 0 or 1; exact for any length. */
export function compareDecimals(a: string, b: string): number {
  const left = parseDecimal(a)
  const right = parseDecimal(b)
  const scale = Math.max(left.scale, right.scale)
  const difference =
    left.digits * 10n ** BigInt(scale - left.scale) - right.digits * 10n ** BigInt(scale - right.scale)
  return difference === 0n ? 0 : difference > 0n ? 1 : -1
}

function multiply(decimal: string, count: number): string {
  const { digits, scale } = parseDecimal(decimal)
  const product = digits * BigInt(count)
  if (scale === 0) return product.toString()
  const text = (product < 0n ? -product : product).toString().padStart(scale + 1, '0')
  return `${product < 0n ? '-' : ''}${text.slice(0, -scale)}.${text.slice(-scale)}`
}

/** A missing trait is false for every operator but `missing`. */
function traitHolds(
  traits: Record<string, unknown>,
  leaf: { path: string; op: TraitOp; value?: Scalar | Scalar[] },
): boolean {
  const found = valueAt(traits, leaf.path)
  const missing = found === undefined || found === null
  if (leaf.op === 'missing') return missing
  if (missing) return false
  if (leaf.op === 'exists') return true
  const wanted = leaf.value
  if (Array.isArray(wanted)) return wanted.some((item) => sameScalar(found, item))
  if (wanted === undefined) return false
  switch (leaf.op) {
    case 'eq':
      return sameScalar(found, wanted)
    case 'ne':
      return !sameScalar(found, wanted)
    case 'contains':
      return Array.isArray(found)
        ? found.some((item) => sameScalar(item, wanted))
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
        return compares(Math.sign(found - wanted), leaf.op)
      if (typeof found === 'string' && typeof wanted === 'string')
        return compares(found < wanted ? -1 : found > wanted ? 1 : 0, leaf.op)
      return false
    default:
      return false
  }
}

/** `address.city` looks for a key of that name first, then down the objects. */
function valueAt(traits: Record<string, unknown>, path: string): unknown {
  if (Object.hasOwn(traits, path)) return traits[path]
  let at: unknown = traits
  for (const part of path.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined
    at = Reflect.get(at, part)
  }
  return at
}

function sameScalar(found: unknown, wanted: Scalar): boolean {
  return typeof found === typeof wanted && found === wanted
}
