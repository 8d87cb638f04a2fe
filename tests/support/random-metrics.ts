// Metrics for random rules: one of each kind, over what random-lives.ts makes.
import { isMeasurable, type Metrics } from '../../domain/segments/metrics.ts'
import type { MetricDefinition } from '../../schema/metric.ts'

const event = 'Order Completed'
const last = (duration: string) => ({ k: 'rolling' as const, last: duration })
const lifetime = { k: 'lifetime' as const }

export const METRICS: Record<string, MetricDefinition> = {
  orders: { k: 'agg', event, agg: 'count', window: last('PT6H') },
  spent: { k: 'agg', event, agg: 'sum', prop: 'revenue', window: lifetime },
  cents: { k: 'agg', event, agg: 'max', prop: 'revenue', unit: 'minor', window: last('P1D') },
  quantity: { k: 'agg', event: 'Viewed', agg: 'avg', prop: 'qty', window: last('PT6H') },
  products: { k: 'agg', event: 'Viewed', agg: 'distinct', prop: 'sku', window: lifetime },
  days: { k: 'agg', event, agg: 'days', tz: 'America/Sao_Paulo', window: last('P1D') },
  'local-days': { k: 'agg', event: '', type: 'page', agg: 'days', tz: { trait: 'zone' }, window: lifetime },
  active: { k: 'agg', event, agg: 'span', window: lifetime },
  'recently-active': { k: 'agg', event, agg: 'span', window: last('PT6H') },
  'first-product': { k: 'pick', event, pick: 'first', prop: 'sku', window: last('P1D') },
  'last-tags': { k: 'pick', event: 'Viewed', pick: 'last', prop: 'tags', window: lifetime },
  recency: { k: 'time', event, pick: 'last' },
  tenure: { k: 'time', event, pick: 'first', where: [{ prop: 'qty', op: 'exists' }] },
}

/** Cut points: so many hundredths have the value or less. Ties, fractions and what is below zero. */
const points = (...ends: [number, string][]) =>
  Array.from({ length: 99 }, (_, i) => ends.find(([part]) => i + 1 <= part)?.[1] ?? '0')

export const CUTS: Record<string, readonly string[]> = {
  orders: points([50, '1'], [80, '2'], [99, '4']),
  spent: points([20, '500'], [50, '1250'], [99, '5000']),
  quantity: points([20, '-3'], [50, '0.333333'], [80, '2.5'], [99, '6']),
  products: points([50, '1'], [99, '2']),
  'local-days': points([80, '1'], [99, '2']),
  'recently-active': points([50, '0'], [80, '0.125'], [99, '0.25']),
  recency: points([20, '0.041666'], [50, '0.25'], [99, '1']),
  tenure: points([20, '0.5'], [50, '0.75'], [99, '2']),
}

/** Of a person of the oracle. */
export const MEASURED = { metrics: METRICS, cuts: CUTS }

export const KNOWN_METRICS: Metrics = new Map(
  Object.entries(METRICS).map(([slug, definition]) => {
    const cut = CUTS[slug]
    if (cut === undefined || !isMeasurable(definition)) return [slug, { version: 1, definition }]
    return [slug, { version: 1, definition, cuts: { version: 1, metricVersion: 1, definition, points: cut } }]
  }),
)
