// The smoke test without k6, for every machine: the same requests at a fixed rate (open model), then the books are
// compared. `node loadtest/smoke.ts [--rate EVENTS] [--seconds N]` against a running deployment; a test calls `sendSmoke`.
import { parseArgs } from 'node:util'
import { quantile } from '../cli/bench/measure.ts'
import { fail, MillraceError } from '../runtime/errors.ts'
import { type Built, buildRequest, type Kind } from './payload.ts'
import { agrees, reconcile, reconcileTable, waitUntilSettled } from './reconcile.ts'
import { COUNTS, emptyTally, type Tally, tallyOfAnswer, tallyOfRequest } from './tally.ts'
import { newRun, openTarget } from './target.ts'

export type Smoke = {
  tally: Tally
  /** Answers that no client would understand: neither 200, nor a 429 or 503 with a time to come back. */
  wrong: string[]
  acceptP50Ms: number
  acceptP99Ms: number
}

const USERS = 500
const BATCH_EVENTS = 50
const SINGLES_SHARE = 0.2
const AGAIN_EVERY = 10
const PATIENCE_MS = 10_000

/** Sends for `seconds` at `rate` events a second and resolves when every answer is there. */
export async function sendSmoke(options: {
  httpUrl: string
  writeKey: string
  run: string
  rate: number
  seconds: number
}): Promise<Smoke> {
  const { rate, seconds, run } = options
  const tally = emptyTally()
  const wrong: string[] = []
  const latencies: number[] = []

  const count = (added: Partial<Tally>) => {
    for (const name of COUNTS) tally[name] += added[name] ?? 0
  }
  const post = async (kind: Kind, built: Built, isAgain: boolean): Promise<number> => {
    count(tallyOfRequest(kind, built, isAgain))
    const startedAt = performance.now()
    const { status, problem } = await postOnce(options, built)
    latencies.push(performance.now() - startedAt)
    if (problem !== undefined) wrong.push(problem)
    count(tallyOfAnswer(kind, built, status, isAgain))
    return status
  }
  const send = async (kind: Kind, request: number) => {
    const shape = { run, nowMs: Date.now(), users: USERS, batchEvents: BATCH_EVENTS }
    const built = buildRequest(kind, request, shape)
    const status = await post(kind, built, false)
    if (status === 200 && kind === 'batch' && request % AGAIN_EVERY === 0) await post(kind, built, true)
  }
  await Promise.all([
    atRate((rate * (1 - SINGLES_SHARE)) / BATCH_EVENTS, seconds, (n) => send('batch', n)),
    atRate(rate * SINGLES_SHARE, seconds, (n) => send('single', n)),
    atRate(1, seconds, (n) => send('spender', n)),
  ])
  return { tally, wrong, acceptP50Ms: quantile(latencies, 0.5), acceptP99Ms: quantile(latencies, 0.99) }
}

/** Starts one every 1/`perSecond`, whether the one before has ended or not. */
async function atRate(
  perSecond: number,
  seconds: number,
  start: (n: number) => Promise<void>,
): Promise<void> {
  const count = Math.max(1, Math.round(perSecond * seconds))
  const startedAt = performance.now()
  const underWay: Promise<void>[] = []
  for (let n = 0; n < count; n++) {
    const waitMs = startedAt + (n * 1_000) / perSecond - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    underWay.push(start(n))
  }
  await Promise.all(underWay)
}

/** Status 0 = no answer. */
async function postOnce(
  { httpUrl, writeKey }: { httpUrl: string; writeKey: string },
  built: Built,
): Promise<{ status: number; problem?: string }> {
  const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
  const headers = { 'content-type': 'application/json', authorization }
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const answer = await fetch(`${httpUrl}${built.path}`, { method: 'POST', headers, body: built.body, signal })
    .then(async (response) => ({ response, text: await response.text() }))
    .catch(() => undefined)
  if (answer === undefined) return { status: 0 }
  const { status, headers: received } = answer.response
  if (status === 200) {
    const refused: unknown = JSON.parse(answer.text).refused
    // The typed single answers carry no count of what cannot be.
    if ((refused ?? 0) === built.invalid) return { status }
    return { status, problem: `${built.path}: ${String(refused)} refused, ${built.invalid} expected` }
  }
  if ((status === 429 || status === 503) && Number(received.get('retry-after')) > 0) return { status }
  return { status, problem: `${built.path}: ${status} ${answer.text.slice(0, 200)}` }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rate: { type: 'string', default: '500' },
      seconds: { type: 'string', default: '10' },
      url: { type: 'string' },
      'write-key': { type: 'string' },
      'secret-key': { type: 'string' },
    },
  })
  const [rate, seconds] = [Number(values.rate), Number(values.seconds)]
  if (!(rate > 0) || !(seconds > 0))
    throw fail(
      'invalid_request',
      `--rate and --seconds must be numbers above 0, not ${values.rate} and ${values.seconds}`,
    )
  const target = await openTarget(values)
  try {
    const run = newRun('smoke')
    const { tally, wrong, acceptP50Ms, acceptP99Ms } = await sendSmoke({ ...target, run, rate, seconds })
    console.log(`accept p50 ${acceptP50Ms.toFixed(1)} ms, p99 ${acceptP99Ms.toFixed(1)} ms`)
    for (const problem of wrong.slice(0, 5)) console.error(problem)
    await waitUntilSettled(target, 120_000)
    const findings = await reconcile(target, run, tally)
    console.log(reconcileTable(tally, findings))
    process.exitCode = findings.every(agrees) && wrong.length === 0 ? 0 : 1
  } finally {
    await target.close()
  }
}

if (import.meta.main)
  await main().catch((error: unknown) => {
    console.error(error instanceof MillraceError ? error.detail : error)
    process.exitCode = 2
  })
