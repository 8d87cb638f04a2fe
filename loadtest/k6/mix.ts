// Who takes part in every test and with how much: the scenarios of journey.ts, their shares of the rate, and the
// thresholds that all tests have. A test adds its shape and its own thresholds.
import type { Options, Threshold } from 'k6/options'
import { BATCH_EVENTS, settings } from './settings.ts'
import { constant, type Shape } from './shapes.ts'

type Thresholds = Record<string, Threshold[]>

/** Whatever happens: every answer is one that a client understands. */
const ALWAYS: Thresholds = { checks: ['rate==1'], 'http_req_failed{kind:write}': ['rate==0'] }

/** `whole` = seconds that the shape lasts, for those who go on at a constant rate beside it. */
export function optionsFor(
  shape: Shape,
  whole: (seconds: number) => number,
  thresholds: Thresholds,
): Options {
  const { rate, seconds, singlesShare } = settings
  const beside = Math.round(whole(seconds))
  return {
    scenarios: {
      batches: { ...shape((rate * (1 - singlesShare)) / BATCH_EVENTS, seconds), exec: 'batches' },
      singles: { ...shape(rate * singlesShare, seconds), exec: 'singles' },
      spenders: { ...constant(1, beside), exec: 'spenders' },
      reads: { ...shape(rate / 200, seconds), exec: 'reads' },
      admin: { ...constant(0.5, beside), exec: 'admin' },
    },
    thresholds: { ...ALWAYS, ...thresholds },
    summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
    noConnectionReuse: false,
    userAgent: 'millrace-loadtest',
  }
}
