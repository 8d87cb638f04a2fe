// Compiles a rule into a plan: what workers run. Leaves that read the same events in the same window share one scan;
// the expression refers to leaves by number. A plan is plain JSON, immutable, stored with its version. Pure.
import type {
  Aggregate,
  Comparison,
  PropertyFilter,
  Rule,
  RuleNode,
  Scalar,
  TraitOp,
  Window,
} from '../../schema/rule.ts'
import { toMinorUnits } from '../money.ts'
import { parseDuration } from './durations.ts'

export type Scan = {
  /** Same key, same rows: scans of several segments with one key run once. */
  key: string
  type: string
  event: string
  where: PropertyFilter[]
  /** Rolling windows in ms; absolute ones as instants; neither = lifetime. */
  lastMs?: number
  fromMs?: number
  toMs?: number
  /** Property that is aggregated; '' for counts only. */
  prop: string
  /** Not '' = the purchase value in minor units of this currency is aggregated, not the property of that name. */
  currency: string
}

export type Leaf =
  | { k: 'agg'; scan: string; agg: Aggregate; op: Comparison; value: string }
  | { k: 'trait'; path: string; op: TraitOp; value?: Scalar | Scalar[] }

export type Expr =
  | { k: 'leaf'; leaf: number }
  | { k: 'not'; of: Expr }
  | { k: 'all' | 'any'; of: Expr[] }
  | { k: 'atLeast'; n: number; of: Expr[] }

export type Plan = { planVersion: 1; scans: Scan[]; leaves: Leaf[]; expr: Expr }

export function compileRule(rule: Rule): Plan {
  const scans = new Map<string, Scan>()
  const leaves: Leaf[] = []
  const walk = (node: RuleNode): Expr => {
    switch (node.k) {
      case 'all':
      case 'any':
        return { k: node.k, of: node.of.map(walk) }
      case 'atLeast':
        return { k: 'atLeast', n: node.n, of: node.of.map(walk) }
      case 'not':
        return { k: 'not', of: walk(node.of) }
      case 'trait':
        leaves.push({
          k: 'trait',
          path: node.path,
          op: node.op,
          ...(node.value === undefined ? {} : { value: node.value }),
        })
        return { k: 'leaf', leaf: leaves.length - 1 }
      case 'agg': {
        const scan = scanOf(node)
        scans.set(scan.key, scan)
        leaves.push({ k: 'agg', scan: scan.key, agg: node.agg, op: node.op, value: thresholdOf(node) })
        return { k: 'leaf', leaf: leaves.length - 1 }
      }
    }
  }
  const expr = walk(rule.match)
  shareCounts(scans, leaves)
  return { planVersion: 1, scans: [...scans.values()], leaves, expr }
}

/** A scan for a sum counts the events too: counts over the same events and window need none of their own. */
function shareCounts(scans: Map<string, Scan>, leaves: Leaf[]): void {
  for (const scan of [...scans.values()].filter((one) => one.prop === '')) {
    const other = [...scans.values()].find((one) => one.prop !== '' && sameEvents(one, scan))
    if (other === undefined) continue
    for (const leaf of leaves) if (leaf.k === 'agg' && leaf.scan === scan.key) leaf.scan = other.key
    scans.delete(scan.key)
  }
}

function sameEvents(a: Scan, b: Scan): boolean {
  const events = ({ type, event, where, lastMs, fromMs, toMs }: Scan) =>
    JSON.stringify([type, event, where, lastMs, fromMs, toMs])
  return events(a) === events(b)
}

type AggNode = Extract<RuleNode, { k: 'agg' }>

function scanOf(node: AggNode): Scan {
  const isRevenue = node.prop === 'revenue'
  const scan = {
    type: node.type ?? 'track',
    event: node.event,
    where: node.where ?? [],
    ...windowOf(node.window),
    prop: isRevenue ? 'value' : (node.prop ?? ''),
    currency: isRevenue ? (node.currency ?? 'USD') : '',
  }
  return { key: JSON.stringify(scan), ...scan }
}

function windowOf(window: Window): Pick<Scan, 'lastMs' | 'fromMs' | 'toMs'> {
  switch (window.k) {
    case 'rolling':
      return { lastMs: parseDuration(window.last) ?? 0 }
    case 'absolute':
      return { fromMs: Date.parse(window.from), toMs: Date.parse(window.to) }
    case 'lifetime':
      return {}
  }
}

/** Thresholds of revenue are compared in minor units, as exact decimal text. */
function thresholdOf(node: AggNode): string {
  if (node.prop !== 'revenue' || node.unit === 'minor') return String(node.value)
  return String(toMinorUnits(node.value, node.currency ?? 'USD') ?? node.value)
}
