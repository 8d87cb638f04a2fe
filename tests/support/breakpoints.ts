// Instants at which a rule can change its mind about somebody, and a millisecond beside each: found from the rule's text, not
// from what its parts mean.
import { length } from './oracle-time.ts'
import type { OraclePerson } from './segment-oracle.ts'

const HALF_HOUR = 1_800_000
const DAY_MS = 86_400_000

/** Ascending, within `from` to `to`. Local days begin on a whole or a half hour of UTC. */
export function breakpoints(rule: unknown, person: OraclePerson, from: number, to: number): number[] {
  const text = JSON.stringify(rule)
  const lengths = [...`${text}${metricsIn(text, person)}`.matchAll(/"(P[0-9DTHMSW]+)"/g)].map((match) =>
    length(match[1] ?? ''),
  )
  if (/"computed"|"quantile"/.test(text)) lengths.push(...daysIn(text, person))
  const named = [...text.matchAll(/"(\d{4}-[^"]+Z)"/g)].map((match) => Date.parse(match[1] ?? ''))
  const dated = Object.values(person.traits).map((value) =>
    typeof value === 'string' ? Date.parse(value) : NaN,
  )
  const base = [from, ...person.events.map((event) => event.time), ...named, ...dated]
  if (person.firstSeen !== undefined) base.push(person.firstSeen)
  const found = new Set(base)
  for (const at of base) for (const ms of lengths) found.add(at + ms).add(at - ms)
  if (/"calendar"|"anniversary"/.test(text))
    for (let at = Math.ceil(from / HALF_HOUR) * HALF_HOUR; at <= to; at += HALF_HOUR) found.add(at)
  const beside = [...found].flatMap((at) => [at - 1, at, at + 1])
  return [...new Set(beside)].filter((at) => at >= from && at <= to).sort((a, b) => a - b)
}

/** Definitions of the metrics that are named, as text. */
function metricsIn(text: string, { metrics = {} }: OraclePerson): string {
  return [...text.matchAll(/"metric":"([^"]+)"/g)]
    .map((match) => JSON.stringify(metrics[match[1] ?? '']))
    .join()
}

/** What days since an event may be compared with: a number of the rule, or a cut point. */
function daysIn(text: string, { cuts = {} }: OraclePerson): number[] {
  const values = [...text.matchAll(/"value":"?(-?[0-9.]+)"?/g)].map((match) => Number(match[1]))
  const named = [...text.matchAll(/"metric":"([^"]+)"/g)].flatMap((match) => [
    ...(cuts[match[1] ?? ''] ?? []),
  ])
  return [...new Set([...values, ...named.map(Number)])].map((days) => Math.floor(days * DAY_MS))
}
