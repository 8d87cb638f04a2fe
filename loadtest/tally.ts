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
  /** Events of requests answered by 429: they must not be there. */
  'shed',
  /** Events of requests answered by 503, another 5xx or not at all: they may be there. */
  'unclear',
  /** Events of accepted requests that were sent and accepted a second time: no row more. */
  'resent',
  /** Accepted requests of kind `spender`: each is one entry into the segment; and those of which it is not known. */
  'spenders',
  'spendersUnclear',
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
    shed: 0,
    unclear: 0,
    resent: 0,
    spenders: 0,
    spendersUnclear: 0,
    checksum: 0,
  }
}

/** What one answer adds; status 0 = no answer. Other 4xx add a request only: the checks of the test fail on them. */
export function tallyOf(kind: Kind, built: Built, status: number, isAgain = false): Partial<Tally> {
  const requests = 1
  if (isAgain) return status === 200 ? { requests, resent: built.valid } : { requests }
  const isSpender = kind === 'spender' ? 1 : 0
  if (status === 200)
    return {
      requests,
      accepted: built.valid,
      refused: built.invalid,
      spenders: isSpender,
      checksum: built.checksum,
    }
  if (status === 429) return { requests, shed: built.valid }
  if (status === 0 || status >= 500) return { requests, unclear: built.valid, spendersUnclear: isSpender }
  return { requests }
}
