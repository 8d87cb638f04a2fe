// The segment rule language, first cut: traits, counts and amounts of events over a window, all / any / not / atLeast.
// One JSON document, discriminated by `k`; names follow shared use in the field. Checked by domain/segments/parse.ts,
// which names the path of a fault; these are its types and limits.

/** Limits that an error names; a rule within them costs a bounded pass. */
export const RULE_LIMITS = { leaves: 50, depth: 8, listItems: 200, textLength: 500 } as const

export const COMPARISONS = ['gt', 'gte', 'lt', 'lte', 'eq', 'ne'] as const
export type Comparison = (typeof COMPARISONS)[number]

export const TRAIT_OPS = [
  ...COMPARISONS,
  'in',
  'exists',
  'missing',
  'contains',
  'startsWith',
  'endsWith',
] as const
export type TraitOp = (typeof TRAIT_OPS)[number]

export const AGGREGATES = ['count', 'sum', 'min', 'max', 'avg'] as const
export type Aggregate = (typeof AGGREGATES)[number]

export type Scalar = string | number | boolean

/** Half-open: an event at T-W has just left, one at T is in. Durations are fixed: P30D is 30 × 86,400 s. */
export type Window =
  | { k: 'rolling'; last: string }
  | { k: 'absolute'; from: string; to: string }
  | { k: 'lifetime' }

export type PropertyFilter = { prop: string; op: TraitOp; value?: Scalar | Scalar[] }

export type RuleNode =
  | { k: 'all'; of: RuleNode[] }
  | { k: 'any'; of: RuleNode[] }
  | { k: 'atLeast'; n: number; of: RuleNode[] }
  | { k: 'not'; of: RuleNode }
  | { k: 'trait'; path: string; op: TraitOp; value?: Scalar | Scalar[] }
  | {
      k: 'agg'
      /** Event name of a track call; for other calls see `type`. */
      event: string
      type?: string
      agg: Aggregate
      /** `revenue` is the purchase value of 'Order Completed' in minor units; any other is a number in the properties. */
      prop?: string
      /** Unit of `value` for revenue: major (19.99) unless said otherwise. */
      unit?: 'major' | 'minor'
      /** Revenue is only summed in one currency; USD unless said otherwise. */
      currency?: string
      where?: PropertyFilter[]
      window: Window
      op: Comparison
      value: number | string
    }

export type Rule = { $schema?: 'segment/1'; name?: string; match: RuleNode }
