// What the benchmark reads: CPU time of processes, quantiles of samples and of Prometheus histograms, settings.
import { readdirSync, readFileSync } from 'node:fs'

const TICKS_PER_S = 100

/** CPU seconds (user + system) of a process so far, its ended children included; 0 where /proc is missing. */
export function cpuSecondsOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i] ?? 0), 0) / TICKS_PER_S
  } catch {
    return 0
  }
}

/** A process and its living children (Postgres' backends). */
export function cpuSecondsOfTree(pid: number): number {
  let total = cpuSecondsOf(pid)
  try {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      const text = readFileSync(`/proc/${name}/stat`, 'utf8')
      if (Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]) === pid)
        total += cpuSecondsOf(Number(name))
    }
  } catch {
    // A process that ended while we looked.
  }
  return total
}

/** The q-quantile of samples (0..1). */
export function quantile(samples: number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0
}

export type Histogram = Map<number, number>

/** Cumulative buckets (upper bound -> count) of a histogram on a /metrics page. */
export async function readHistogram(metricsUrl: string, name: string): Promise<Histogram> {
  const text = await (await fetch(metricsUrl)).text()
  const buckets: Histogram = new Map()
  for (const line of text.split('\n')) {
    const match = line.startsWith(`${name}_bucket{`) ? /le="([^"]+)"\} (\d+)/.exec(line) : null
    if (match !== null)
      buckets.set(match[1] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[1]), Number(match[2]))
  }
  return buckets
}

/** The q-quantile (in the histogram's unit) of what was observed between two readings, interpolated within its bucket. */
export function histogramQuantile(before: Histogram, after: Histogram, q: number): number {
  const bounds = [...after.keys()].sort((a, b) => a - b)
  const total = (after.get(Number.POSITIVE_INFINITY) ?? 0) - (before.get(Number.POSITIVE_INFINITY) ?? 0)
  if (total === 0) return Number.NaN
  let lowerBound = 0
  let lowerCount = 0
  for (const bound of bounds) {
    const count = (after.get(bound) ?? 0) - (before.get(bound) ?? 0)
    if (count >= q * total) {
      if (bound === Number.POSITIVE_INFINITY) return lowerBound
      const share = count === lowerCount ? 1 : (q * total - lowerCount) / (count - lowerCount)
      return lowerBound + share * (bound - lowerBound)
    }
    lowerBound = bound
    lowerCount = count
  }
  return lowerBound
}
