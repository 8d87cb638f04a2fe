// What the virtual users do, one function a scenario: SDKs send batches, browsers single events, some people buy enough to
// enter the segment, somebody reads profiles, an operator looks at the queues. Every request is counted (tally.ts).

import { check, sleep } from 'k6'
import encoding from 'k6/encoding'
import exec from 'k6/execution'
import http, { type Response } from 'k6/http'
import { Counter, Rate, Trend } from 'k6/metrics'
import { type Built, buildRequest, type Kind } from '../payload.ts'
import { COUNTS, type Count, type Tally, tallyOfAnswer, tallyOfRequest } from '../tally.ts'
import { BATCH_EVENTS, settings } from './settings.ts'

const { target, writeKey, secretKey, run } = settings

/** Known visitors. */
const USERS = 5_000
/** One accepted batch in so many is sent a second time, as SDKs do when an answer is lost. */
const AGAIN_EVERY = 40
const VISIBLE_WITHIN_S = 30

http.setResponseCallback(http.expectedStatuses(200, 404, 429, 503))

const counters = new Map<Count, Counter>(COUNTS.map((name) => [name, new Counter(`tally_${name}`)]))
const shed = new Rate('shed')
const visibleAfter = new Trend('accepted_to_visible', true)

const WRITE = {
  'content-type': 'application/json',
  authorization: `Basic ${encoding.b64encode(`${writeKey}:`)}`,
}
const READ = { authorization: `Bearer ${secretKey}` }

export function batches(): void {
  const request = exec.scenario.iterationInTest
  const { built, response } = send('batch', request)
  if (built.invalid > 0 && response.status === 200)
    check(response, { 'only the wrong event is refused': (one) => one.json('refused') === built.invalid })
  if (response.status === 200 && request % AGAIN_EVERY === 0) {
    post('batch', built, true)
  }
}

export function singles(): void {
  send('single', exec.scenario.iterationInTest)
}

/** Also measures how long it takes from the answer until the API shows the person. */
export function spenders(): void {
  const request = exec.scenario.iterationInTest
  const { response } = send('spender', request)
  if (response.status !== 200) return
  const answeredAt = Date.now()
  const url = `${target}/api/v1/users/${run}-spender-${request}`
  while (Date.now() - answeredAt < VISIBLE_WITHIN_S * 1_000) {
    const seen = http.get(url, { headers: READ, tags: { kind: 'poll', name: 'user that is new' } })
    if (seen.status === 200) {
      visibleAfter.add(Date.now() - answeredAt)
      return
    }
    sleep(0.1)
  }
  check(null, { [`a new person is visible within ${VISIBLE_WITHIN_S} s`]: () => false })
}

export function reads(): void {
  const user = `${run}-user-${(exec.scenario.iterationInTest * 7919) % USERS}`
  const tags = { kind: 'read', name: 'user' }
  const response = http.get(`${target}/api/v1/users/${user}`, { headers: READ, tags })
  check(response, {
    'a profile is read, or not there yet': (one) => one.status === 200 || one.status === 404,
  })
}

const LOOKS = ['queues', 'failed-events/counts', 'deliveries/counts', 'segments/big-spenders/size']
export function admin(): void {
  const look = LOOKS[exec.scenario.iterationInTest % LOOKS.length]
  const response = http.get(`${target}/api/v1/${look}`, {
    headers: READ,
    tags: { kind: 'admin', name: `${look}` },
  })
  check(response, { 'the operator gets an answer': (one) => one.status === 200 })
}

function send(kind: Kind, request: number): { built: Built; response: Response } {
  const built = buildRequest(kind, request, {
    run,
    nowMs: Date.now(),
    users: USERS,
    batchEvents: BATCH_EVENTS,
  })
  return { built, response: post(kind, built, false) }
}

function post(kind: Kind, built: Built, isAgain: boolean): Response {
  count(tallyOfRequest(kind, built, isAgain))
  const response = http.post(`${target}${built.path}`, built.body, {
    headers: WRITE,
    tags: { kind: 'write', name: built.path },
    responseType: built.invalid > 0 ? 'text' : 'none',
  })
  const { status, headers } = response
  shed.add(status === 429 || status === 503)
  check(response, {
    'accepted, or sent away with a time to come back': () =>
      status === 200 || ((status === 429 || status === 503) && Number(headers['Retry-After']) > 0),
  })
  count(tallyOfAnswer(kind, built, status, isAgain))
  return response
}

function count(added: Partial<Tally>): void {
  for (const [name, by] of Object.entries(added)) if (by > 0) counters.get(name as Count)?.add(by)
}
