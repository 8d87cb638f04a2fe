// Rules and dashboards in a real Prometheus that scrapes the real processes of a deployment while events flow through it:
// every panel shows something, every rule evaluates, and every series that an alert asks for is there.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pauseQueues, resumeQueues } from '../../../queues/control.ts'
import { type Deployment, startDeployment } from '../../support/deployment.ts'
import { ALERTS, absolute, hasPrometheus, PANELS, RULE_FILES, RULES } from '../../support/observability.ts'
import { type Prometheus, startPrometheus } from '../../support/prometheus.ts'
import { alternativesOf, selectorsOf } from '../../support/promql.ts'
import { waitFor } from '../../support/wait-for.ts'

/** Series that appear only when something is wrong. Their metric must be there all the same, with other labels. */
const QUIET = ['millrace_http_requests_total{service="collector", status="5xx"}']
const POOLS = ['ingest', 'persist', 'segment', 'deliver', 'archive', 'schedule']

let deployment: Deployment
let prometheus: Prometheus
let traffic: { stop(): Promise<void> }

beforeAll(async () => {
  if (!hasPrometheus) return
  deployment = await startDeployment({
    config: { exporterLookMs: 1000 },
    processes: [
      ['collector', 'api'],
      ['ingest', 'archive', 'schedule', 'exporter'],
      ['persist', 'segment', 'deliver'],
    ],
  })
  const hostOf = (url = '') => new URL(url).host
  prometheus = await startPrometheus({
    jobs: {
      millrace: deployment.stack.processes.map((process) => hostOf(process.addresses().probes)),
      'millrace-exporter': [hostOf(deployment.stack.addresses().exporter)],
    },
    ruleFiles: RULE_FILES.map(absolute),
  })
  // What was counted before the first look shows in no rate.
  await waitFor(async () => (await prometheus.query('up == 1')).length === 4, { what: 'the first scrapes' })
  traffic = keepSending(deployment)
}, 120_000)
afterAll(async () => {
  await traffic?.stop()
  await prometheus?.stop()
  await deployment?.close()
})

/** Every second one more buyer crosses the demo segment's threshold, beside a conflict, a refusal and a look at the API. */
function keepSending({ httpUrl, note }: Deployment): { stop(): Promise<void> } {
  let stopped = false
  const authorization = `Bearer ${note.writeKey}`
  const post = (body: unknown) =>
    fetch(`${httpUrl}/v1/batch`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const loop = async () => {
    for (let buyer = 0; !stopped; buyer++) {
      const userId = `buyer-${buyer}`
      const orders = Array.from({ length: 6 }, (_, n) => ({
        type: 'track',
        event: 'Order Completed',
        userId,
        messageId: `order-${buyer}-${n}`,
        properties: { order_id: `o-${buyer}-${n}`, revenue: 199.5, currency: 'USD' },
      }))
      const traits = { email: `${userId}@shop.example`, pushToken: `token-${userId}` }
      const who = { type: 'identify', userId, messageId: `who-${buyer}`, traits }
      const conflict = {
        type: 'track',
        event: 'Product Viewed',
        userId,
        messageId: 'twice',
        properties: { n: buyer },
      }
      await post({ batch: [who, ...orders, conflict] })
      await post({ batch: [{ type: 'track', userId }] })
      await fetch(`${httpUrl}/api/v1/users/${userId}`, {
        headers: { authorization: `Bearer ${note.secretKey}` },
      })
      await new Promise((resolve) => setTimeout(resolve, 1000))
    }
  }
  const running = loop()
  return {
    async stop() {
      stopped = true
      await running
    },
  }
}

/** Those of `expressions` that show nothing: no sample, or none that is a number. */
async function empty(expressions: string[]): Promise<string[]> {
  const silent: string[] = []
  for (const expression of new Set(expressions)) {
    const samples = await prometheus.query(expression)
    if (!samples.some(({ value }) => !Number.isNaN(value))) silent.push(expression)
  }
  return silent
}

/** Waits until all of them show something; the failure names those that never did. */
async function allShow(expressions: string[]): Promise<void> {
  let silent = expressions
  try {
    await waitFor(
      async () => {
        silent = await empty(silent)
        return silent.length === 0
      },
      { timeoutMs: 90_000, everyMs: 1000 },
    )
  } catch (error) {
    expect(silent, String(error)).toEqual([])
  }
}

test.skipIf(!hasPrometheus)(
  'every rule evaluates',
  async () => {
    await waitFor(async () => (await prometheus.failingRules()).length === 0, { timeoutMs: 30_000 })
    expect(await prometheus.failingRules()).toEqual([])
  },
  60_000,
)

test.skipIf(!hasPrometheus)(
  'every recorded series is there',
  async () => {
    await allShow(RULES.flatMap(({ record }) => record ?? []))
  },
  120_000,
)

test.skipIf(!hasPrometheus)(
  'every panel of every dashboard shows something',
  async () => {
    expect(PANELS.length).toBeGreaterThan(60)
    await allShow(
      PANELS.flatMap(({ expr }) => {
        const query = expr.replaceAll('$__rate_interval', '1m')
        return query.includes('$pool') ? POOLS.map((pool) => query.replaceAll('$pool', pool)) : [query]
      }),
    )
  },
  120_000,
)

test.skipIf(!hasPrometheus)(
  'every series that a rule asks for is there, but for those of trouble',
  async () => {
    const asked = RULES.flatMap(({ expr }) => selectorsOf(expr).flatMap(({ text }) => alternativesOf(text)))
    expect(ALERTS.length).toBeGreaterThan(25)
    await allShow(asked.filter((selector) => !QUIET.includes(selector)))
    for (const selector of QUIET) {
      expect(asked).toContain(selector)
      expect(await empty([selector]), selector).toEqual([selector])
      expect(await empty([selector.replace(/\{.*/, '')]), selector).toEqual([])
    }
  },
  120_000,
)

test.skipIf(!hasPrometheus)('what is global is said once, and what is a process’s own by each', async () => {
  const [twice] = await prometheus.query('count(millrace_redis_up)')
  expect(twice?.value).toBe(1)
  const builds = await prometheus.query('millrace_build_info')
  expect(builds.map(({ labels }) => labels.runs).sort()).toEqual([
    'collector+api',
    'ingest+archive+schedule+exporter',
    'persist+segment+deliver',
  ])
})

test.skipIf(!hasPrometheus)('a deployment that is well wakes nobody', async () => {
  // Whether its latencies keep their promise depends on what else this machine does.
  const ringing = await prometheus.query(
    'ALERTS{alertstate="firing", severity="page", alertname!~"MillraceErrorBudget.*"}',
  )
  expect(ringing.map(({ labels }) => labels.alertname)).toEqual([])
})

test.skipIf(!hasPrometheus)(
  'the rows that processes count are the rows that are there',
  async () => {
    await traffic.stop()
    await deployment.settled(30_000)
    const [row] = await deployment.sql<{ kept: number }[]>`select count(*)::int as kept from events`
    expect(row?.kept).toBeGreaterThan(0)
    await waitFor(async () => {
      const [sum] = await prometheus.query('sum(millrace_events_total{stage="persist", verdict="kept"})')
      return sum?.value === row?.kept
    })
  },
  60_000,
)

/** Waits until the alert begins to ring (`for` runs from now), and returns its labels. */
async function begins(alert: string): Promise<Record<string, string>> {
  const [ringing] = await waitFor(
    async () => {
      const found = await prometheus.query(`ALERTS{alertname="${alert}"}`)
      return found.length > 0 ? found : undefined
    },
    { timeoutMs: 60_000, everyMs: 500, what: alert },
  )
  return ringing?.labels ?? {}
}

async function ends(alert: string): Promise<void> {
  const isQuiet = async () => (await prometheus.query(`ALERTS{alertname="${alert}"}`)).length === 0
  await waitFor(isQuiet, { timeoutMs: 60_000, everyMs: 500, what: `the end of ${alert}` })
}

test.skipIf(!hasPrometheus)(
  'real trouble begins its alert, and its end ends it',
  async () => {
    const { redis, stack } = deployment
    expect(await begins('MillraceDeadLetters')).toMatchObject({ stage: 'persist', code: 'message_conflict' })

    await pauseQueues(redis, stack.config.namespace, ['archive'])
    expect(await begins('MillraceQueuePaused')).toMatchObject({ queue: 'archive', severity: 'ticket' })
    await resumeQueues(redis, stack.config.namespace, ['archive'])
    await ends('MillraceQueuePaused')

    stack.processOf('collector').kill('SIGSTOP')
    expect(await begins('MillraceCollectorAbsent')).toMatchObject({ severity: 'page' })
    stack.processOf('collector').kill('SIGCONT')
    await ends('MillraceCollectorAbsent')

    stack.redis?.kill('SIGSTOP')
    expect(await begins('MillraceRedisDown')).toMatchObject({ severity: 'page' })
    stack.redis?.kill('SIGCONT')
    await ends('MillraceRedisDown')
  },
  240_000,
)
