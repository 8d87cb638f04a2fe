// The condition that a trait has been what it is for so long. Pure.
import type { DwellNode } from '../../schema/rule.ts'
import { valueAt } from './conditions.ts'
import { parseDuration } from './durations.ts'
import type { Facts } from './facts.ts'
import { constant, type Timed } from './timed.ts'

/** True from the instant on at which the trait took the value, and so long after it; the trait does not change by time. */
export function evaluateDwell({ path, value, for: length }: DwellNode, facts: Facts, atMs: number): Timed {
  const sinceMs = sinceAt(facts, path)
  if (sinceMs === undefined || valueAt(facts.traits, path) !== value) return constant(false)
  const heldAt = sinceMs + (parseDuration(length) ?? 0)
  return atMs < heldAt ? { holds: false, until: heldAt } : constant(true)
}

/** Since when (ms) the trait of a path is what it is; a path into an object goes by the whole object. */
export function sinceAt({ traits, traitSince }: Facts, path: string): number | undefined {
  const name = Object.hasOwn(traits, path) ? path : firstPart(path)
  return Object.hasOwn(traitSince, name) ? traitSince[name] : undefined
}

/** The traits that a path may mean: one of that name, or one that holds an object. */
export function traitsOfPath(path: string): string[] {
  return [...new Set([path, firstPart(path)])]
}

function firstPart(path: string): string {
  return path.split('.', 1)[0] ?? path
}
