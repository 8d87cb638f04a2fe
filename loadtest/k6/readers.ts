// readers: a thousand connections that stay open, each of which asks about segments now and then; --rate is what all of them
// ask a second. Of the people and the segment that `npm start` has made. Every read has its own p99.
import { check, sleep } from 'k6'
import exec from 'k6/execution'
import http from 'k6/http'
import type { Options } from 'k6/options'
import { settings } from './settings.ts'

const CONNECTIONS = 1_000
const SLOWEST_MS = 50
/** Known people: those of the demo. */
const PEOPLE = 1_000
const SEGMENT = 'big-spenders'
const DAY_MS = 86_400_000

/** Connections open and code is compiled: these requests are counted apart. */
const OPENING_S = 15

const { target, secretKey, rate, seconds } = settings
const headers = { authorization: `Bearer ${secretKey}` }

type Read = { name: string /** Of a hundred reads. */; share: number; path(user: string): string }

const READS: Read[] = [
  { name: 'segments of a person', share: 60, path: (user) => `users/${user}/segments` },
  { name: 'membership of one', share: 20, path: (user) => `users/${user}/segments/${SEGMENT}` },
  { name: 'why', share: 4, path: (user) => `users/${user}/segments/${SEGMENT}/explanation` },
  { name: 'changes of a person', share: 4, path: (user) => `users/${user}/segment-changes` },
  { name: 'metrics of a person', share: 2, path: (user) => `users/${user}/metrics` },
  { name: 'members', share: 4, path: () => `segments/${SEGMENT}/members?limit=50` },
  {
    name: 'members as known then',
    share: 2,
    path: () => `segments/${SEGMENT}/members?limit=50&knownAt=${yesterday}`,
  },
  { name: 'changes of a segment', share: 2, path: () => `segments/${SEGMENT}/changes?limit=50` },
  { name: 'size', share: 2, path: () => `segments/${SEGMENT}/size` },
]
const yesterday = new Date(Date.now() - DAY_MS).toISOString()

/** One entry a hundredth. */
const DEALT = READS.flatMap((read) => Array.from({ length: read.share }, () => read))

export const options: Options = {
  scenarios: {
    readers: {
      executor: 'constant-vus',
      vus: CONNECTIONS,
      duration: `${OPENING_S + seconds}s`,
      gracefulStop: '5s',
    },
  },
  thresholds: {
    checks: ['rate==1'],
    ...Object.fromEntries(
      READS.map(({ name }) => [`http_req_duration{name:${name}}`, [`p(99)<${SLOWEST_MS}`]]),
    ),
  },
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
  userAgent: 'millrace-loadtest',
}

const isOpening = () => exec.instance.currentTestRunDuration < OPENING_S * 1000

export default function ask(): void {
  const number = exec.vu.idInTest * 7919 + exec.vu.iterationInInstance * 104_729
  // Spread over the pause, so that the first of all do not come at once.
  if (exec.vu.iterationInInstance === 0) sleep((Math.random() * CONNECTIONS) / rate)
  const read = DEALT[number % DEALT.length]
  if (read === undefined) return
  const user = `user-${String((number % PEOPLE) + 1).padStart(4, '0')}`
  const response = http.get(`${target}/api/v1/${read.path(user)}`, {
    headers,
    tags: { kind: 'read', name: isOpening() ? 'while connections open' : read.name },
  })
  check(response, { 'it is answered': (one) => one.status === 200 })
  sleep((CONNECTIONS / rate) * (0.5 + Math.random()))
}
