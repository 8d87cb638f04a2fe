// Rows of the table of metrics and the prom-client objects that are made of them: one row, one metric, typed by its labels.
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

type Kind = 'counter' | 'gauge' | 'histogram'

export type MetricRow<K extends Kind = Kind, L extends string = string> = {
  kind: K
  name: string
  unit: string
  labels: readonly L[]
  /** Which processes serve it: pools of workers/registry.ts, `api`, `exporter`, or `every process`. */
  from: string
  help: string
}

type Instrument<R> =
  R extends MetricRow<'counter', infer L>
    ? Counter<L>
    : R extends MetricRow<'gauge', infer L>
      ? Gauge<L>
      : R extends MetricRow<'histogram', infer L>
        ? Histogram<L>
        : never
export type Instruments<T> = { [K in keyof T]: Instrument<T[K]> }

/**
 * Bounds in seconds. Dense where the service levels are (0.1, 0.5 and 1 are bounds: a share below a threshold is exact only
 * at a bound), open above a minute: what is later than that is an outage, and its length is the age of the queues.
 */
export const SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5,
  10, 30, 60,
]

type Texts = [name: string, unit: string, from: string, help: string]

function rowOf<K extends Kind, L extends string>(
  kind: K,
  [name, unit, from, help]: Texts,
  labels: readonly L[],
): MetricRow<K, L> {
  return { kind, name, unit, labels, from, help }
}

export const counter = <const L extends string>(texts: Texts, ...labels: L[]) =>
  rowOf('counter', texts, labels)
export const gauge = <const L extends string>(texts: Texts, ...labels: L[]) => rowOf('gauge', texts, labels)
export const histogram = <const L extends string>(texts: Texts, ...labels: L[]) =>
  rowOf('histogram', texts, labels)

/** Makes all metrics of a table on a registry of their own. */
export function createInstruments<T extends Record<string, MetricRow>>(
  rows: T,
): Instruments<T> & { registry: Registry } {
  const registry = new Registry()
  const made = Object.entries(rows).map(([key, row]) => [key, instrument(row, registry)])
  // Keys and kinds are those of `rows`, which Object.entries forgets.
  return { ...(Object.fromEntries(made) as Instruments<T>), registry }
}

function instrument({ kind, name, help, labels }: MetricRow, registry: Registry) {
  const options = { name, help, labelNames: labels, registers: [registry] }
  switch (kind) {
    case 'counter':
      return new Counter(options)
    case 'gauge': {
      const made = new Gauge(options)
      // Without labels it would say 0 before anybody knows.
      if (labels.length === 0) made.remove()
      return made
    }
    case 'histogram':
      return new Histogram({ ...options, buckets: SECONDS })
  }
}

/**
 * Shows a counter at 0 for label values that are known beforehand. One that first appears with its first count hides that
 * count from rates, so alerts on what is rare would sleep through the first time.
 */
export function beginAtZero<L extends string>(
  counter: Counter<L>,
  values: Record<L, readonly string[]>,
): void {
  let combinations: Partial<Record<L, string>>[] = [{}]
  for (const [label, options] of Object.entries<readonly string[]>(values))
    combinations = combinations.flatMap((one) => options.map((value) => ({ ...one, [label]: value })))
  for (const labels of combinations) counter.inc(labels, 0)
}
