// What a load test counts of its own requests, so that reconcile.ts can say what must be there. Shared by k6 and the Node
// driver; pure, no imports that k6 does not know.
import type { Built, Kind } from './payload.ts'

export const COUNTS = [
  /** HTTP requests with events, those sent again included. */
  'requests',
  /** Events of requests that were answered by 200: they must be kept. */
  'accepted',
  /** Events that a 200 named as refused, as they were meant to be. */
  'refused',
  /** Events of requests that were begun. Counted before the answer, which a generator that is ended early never sees. */
  'sent',
  /** Events of requests answered by 429, or by another 4xx, on which the checks of the test fail: they must not be there. */
  'shed',
  /** Events of accepted requests that were sent and accepted a second time: no row more. */
  'resent',
  /** Accepted requests of kind `spender`, each is one entry into the segment; those begun; those sent away. */
  'spenders',
  'spendersSent',
  'spendersShed',
  /** Sum of the numbers of the accepted events. */
  'checksum',
] as const
export type Count = (typeof COUNTS)[number]
export type Tally = Record<Count, number>

export function emptyTally(): Tally {
  return {
    requests: 0,
    accepted: 0,
    refused: 0,
    sent: 0,
    shed: 0,
    resent: 0,
    spenders: 0,
    spendersSent: 0,
    spendersShed: 0,
    checksum: 0,
  }
}

/** What a request adds when it is begun. */
export function tallyOfRequest(kind: Kind, built: Built, isAgain = false): Partial<Tally> {
  if (isAgain) return { requests: 1 }
  return { requests: 1, sent: built.valid, spendersSent: kind === 'spender' ? 1 : 0 }
}

/** What its answer adds; status 0 = no answer, which like a 5xx leaves open whether its events are kept. */
export function tallyOfAnswer(kind: Kind, built: Built, status: number, isAgain = false): Partial<Tally> {
  if (isAgain) return status === 200 ? { resent: built.valid } : {}
  const isSpender = kind === 'spender' ? 1 : 0
  if (status === 200)
    return {
      accepted: built.valid,
      refused: built.invalid,
      spenders: isSpender,
      checksum: built.checksum,
    }
  return status >= 400 && status < 500 ? { shed: built.valid, spendersShed: isSpender } : {}
}

/** Events and people that may be there or not: begun, and answered by neither 200 nor 4xx. */
export function unclearOf(tally: Tally): { events: number; spenders: number } {
  return {
    events: tally.sent - tally.accepted - tally.shed,
    spenders: tally.spendersSent - tally.spenders - tally.spendersShed,
  }
}
