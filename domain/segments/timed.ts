// What holds now, and until when at least as long as no data comes: the algebra of timers (shared/SEGMENTS.md, 4.3). An
// `until` is never late: before it nothing can have changed by time alone. It may be early, as what holds then is looked
// up anew. Pure.

/** `until` in ms since the epoch; Infinity = time alone never changes it. */
export type Timed = { holds: boolean; until: number }

export const NEVER = Number.POSITIVE_INFINITY

export function constant(holds: boolean): Timed {
  return { holds, until: NEVER }
}

export function not({ holds, until }: Timed): Timed {
  return { holds: !holds, until }
}

/**
 * At least `n` of `of`. While it holds with `t` true ones, t - n + 1 of them must turn before it can end; while it does
 * not, n - t of the false ones must turn before it can begin. `all` is n = length, `any` is n = 1.
 */
export function atLeast(n: number, of: Timed[]): Timed {
  let holding = 0
  for (const one of of) if (one.holds) holding += 1
  const holds = holding >= n
  const turns = holds ? holding - n + 1 : n - holding
  return { holds, until: nthUntil(of, holds, turns) }
}

/** The `nth` smallest `until` of those that hold, or of those that do not. */
function nthUntil(of: Timed[], holds: boolean, nth: number): number {
  const untils: number[] = []
  for (const one of of) if (one.holds === holds) untils.push(one.until)
  if (nth === 1) return Math.min(...untils)
  if (nth === untils.length) return Math.max(...untils)
  return untils.sort((a, b) => a - b)[nth - 1] ?? NEVER
}
