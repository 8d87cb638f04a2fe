// What rules refer to: lists, metrics, and other segments, of which nobody refers to itself by a detour. Pure.
import { type ComputedNode, type QuantileNode, RULE_LIMITS, type RuleNode } from '../../schema/rule.ts'
import type { Plan } from './plan.ts'

/** Slugs that a rule refers to, each once. */
export function referencesOf(node: RuleNode): string[] {
  switch (node.k) {
    case 'all':
    case 'any':
    case 'atLeast':
      return [...new Set(node.of.flatMap(referencesOf))]
    case 'not':
      return referencesOf(node.of)
    case 'segment':
      return [node.segment]
    default:
      return []
  }
}

/** Lists that a rule asks about, each with where it says so. */
export function listsOf(node: RuleNode, path = 'rule.match'): { path: string; list: string }[] {
  switch (node.k) {
    case 'all':
    case 'any':
    case 'atLeast':
      return node.of.flatMap((child, i) => listsOf(child, `${path}.of[${i}]`))
    case 'not':
      return listsOf(node.of, `${path}.of`)
    case 'list':
      return [{ path: `${path}.list`, list: node.list }]
    default:
      return []
  }
}

/** Metrics that a rule names, each with where it does so. */
export function metricsOf(
  node: RuleNode,
  path = 'rule.match',
): { path: string; node: ComputedNode | QuantileNode }[] {
  switch (node.k) {
    case 'all':
    case 'any':
    case 'atLeast':
      return node.of.flatMap((child, i) => metricsOf(child, `${path}.of[${i}]`))
    case 'not':
      return metricsOf(node.of, `${path}.of`)
    case 'computed':
    case 'quantile':
      return [{ path, node }]
    default:
      return []
  }
}

/** Campaigns of which a rule asks whether we have sent them, each with where it says so. */
export function sentCampaignsOf(node: RuleNode, path = 'rule.match'): { path: string; campaign: string }[] {
  switch (node.k) {
    case 'all':
    case 'any':
    case 'atLeast':
      return node.of.flatMap((child, i) => sentCampaignsOf(child, `${path}.of[${i}]`))
    case 'not':
      return sentCampaignsOf(node.of, `${path}.of`)
    case 'message':
      if (node.did !== 'sent' || node.campaign === undefined) return []
      return [{ path: `${path}.campaign`, campaign: node.campaign }]
    default:
      return []
  }
}

/** The plan and all that it refers to, directly or not. */
export function closureOf(plan: Plan, plans: ReadonlyMap<string, Plan>): Plan[] {
  const found = new Set<Plan>([plan])
  for (const one of found) {
    for (const leaf of one.leaves) {
      const other = leaf.k === 'segment' ? plans.get(leaf.segment) : undefined
      if (other !== undefined) found.add(other)
    }
  }
  return [...found]
}

/**
 * Why the segment `slug` may not refer to `references`; undefined when it may. `live` = what every other live segment
 * refers to, by slug.
 */
export function refusedReference(
  slug: string,
  references: string[],
  live: ReadonlyMap<string, string[]>,
): string | undefined {
  const missing = references.find((one) => one !== slug && !live.has(one))
  if (missing !== undefined) return `there is no live segment "${missing}"`
  const chain = longestChain(slug, references, live)
  if (chain.length > 1 && chain.at(-1) === slug) return `it refers to itself: ${chain.join(' → ')}`
  if (chain.length > RULE_LIMITS.segments)
    return `segments refer to segments more than ${RULE_LIMITS.segments} deep: ${chain.join(' → ')}`
  return undefined
}

/** From `start` on: the chain of references that comes back to it, else the longest one. What is live has no circle without it. */
function longestChain(start: string, references: string[], live: ReadonlyMap<string, string[]>): string[] {
  const known = new Map<string, string[]>()
  const isBack = (chain: string[]) => chain.at(-1) === start
  const from = (slug: string, next: string[]): string[] => {
    let longest: string[] = []
    for (const one of next) {
      const chain = one === start ? [start] : (known.get(one) ?? from(one, live.get(one) ?? []))
      if (isBack(chain)) return [slug, ...chain]
      if (chain.length > longest.length) longest = chain
    }
    const found = [slug, ...longest]
    known.set(slug, found)
    return found
  }
  return from(start, references)
}

/** Of live segments: each with all that its rule asks, directly or not, and itself. */
export function askedBySegment<Segment extends { slug: string; plan: Plan }>(
  live: readonly Segment[],
): Map<Segment, Segment[]> {
  const bySlug = new Map(live.map(({ slug, plan }) => [slug, plan]))
  const byPlan = new Map(live.map((segment) => [segment.plan, segment]))
  return new Map(
    live.map((segment) => [
      segment,
      closureOf(segment.plan, bySlug).flatMap((plan) => byPlan.get(plan) ?? []),
    ]),
  )
}
