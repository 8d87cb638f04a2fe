// Runs one row of the fault matrix: buyers who are known and at rest, load over HTTP, the fault in the midst of it, the
// fault lifted, everything at rest again, the judge. A row counts only when it says what work its fault has hit.
import { join } from 'node:path'
import { expect, type TestContext } from 'vitest'
import type { Deployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { type DeliveryVerdict, judgeDeliveries, judgeEvents, printTable, type Verdict } from './judge.ts'
import { openLedger } from './ledger.ts'
import { BLOCK, buyerIdentities, type LoadTotals, runLoad, shopping } from './load.ts'

/** What the fault may look at while the load goes on, and how it says that it is over. */
export type UnderLoad = {
  acked(): number
  /** Requests without an answer. */
  inFlight(): number
  /** Resolves when this share of the row's events is acknowledged. */
  share(part: number): Promise<void>
  /** From here on recovery is measured; called by itself when the fault returns. */
  lifted(): void
}
/** What was hit, by name, and figures to print beside it. */
export type Struck = { hits: Record<string, number>; figures?: Record<string, unknown> }

export type RowPlan = {
  /** Its number in rows.ts, and a letter where a row has several forms. */
  id: string
  fault(load: UnderLoad): Promise<Struck>
  /** 40 events each, and three messages each. */
  buyers?: number
  eventsPerSecond?: number
  batchSize?: number
  connections?: number
  httpUrls?: string[]
  /** Where it differs from nothing lost, doubled, altered, foreign or failed. */
  events?: Partial<Verdict>
  deliveries?: Partial<DeliveryVerdict>
  /** Processes that the fault ends; undefined = not looked at. */
  restarts?: number | undefined
  settleWithinMs?: number
}

export type RowResult = {
  id: string
  title: string
  hits: Record<string, number>
  events: Verdict
  deliveries: DeliveryVerdict
  /** After the fault was lifted: until the next 2xx, and until everything was at rest. */
  acceptingAfterMs: number
  atRestAfterMs: number
  requestsAgain: number
  restarts: number
  seed?: string
}

declare module 'vitest' {
  interface TaskMeta {
    row?: RowResult | { id: string; title: string; hits: Record<string, number>; seed?: string }
  }
}

export async function runRow(
  { task }: TestContext,
  deployment: Deployment,
  plan: RowPlan,
  seed?: string,
): Promise<RowResult> {
  const part = { prefix: `r${plan.id}-`, buyers: plan.buyers ?? 60 }
  const events = part.buyers * BLOCK
  const ledgerFile = join(deployment.dataDir, `ledger-${plan.id}.jsonl`)
  const ledger = await openLedger(ledgerFile)
  const startMs = Date.now() - 86_400_000
  const common = {
    writeKey: deployment.note.writeKey,
    ledger,
    batchSize: plan.batchSize ?? 20,
    connections: plan.connections ?? 6,
  }
  await runLoad({
    ...common,
    httpUrls: [deployment.httpUrl],
    messages: buyerIdentities(startMs, part)[Symbol.iterator](),
    eventsPerSecond: 10_000,
    isEnough: (acked) => acked >= part.buyers,
  })
  await deployment.settled(60_000)

  const restartsBefore = restartsOf(deployment)
  const seen = { acked: 0, inFlight: 0, isOver: false, liftedAt: 0, ackedAt: 0 }
  const load = runLoad({
    ...common,
    httpUrls: plan.httpUrls ?? [deployment.httpUrl],
    messages: shopping(startMs, part),
    eventsPerSecond: plan.eventsPerSecond ?? 600,
    isEnough: (acked) => {
      seen.acked = acked
      return seen.isOver && acked >= events
    },
    onInFlight: (requests) => {
      seen.inFlight = requests
    },
    onOutcome: (outcome) => {
      if (outcome === 'acked' && seen.liftedAt > 0 && seen.ackedAt === 0) seen.ackedAt = performance.now()
    },
  })
  const struck = await strike(plan, seen, events)
  const totals = await load
  await ledger.close()
  await deployment.settled(plan.settleWithinMs ?? 90_000)
  const atRestAfterMs = Math.round(performance.now() - seen.liftedAt)
  const verdict = await judgeEvents(deployment.sql, ledgerFile, part.prefix)
  const buyers = Array.from({ length: part.buyers }, (_, number) => `${part.prefix}buyer-${number}`)
  const deliveries = await judgeDeliveries(
    deployment.sql,
    join(deployment.dataDir, 'outbox'),
    buyers,
    part.prefix,
  )
  const result: RowResult = {
    id: plan.id,
    title: task.name,
    hits: struck.hits,
    events: verdict,
    deliveries,
    acceptingAfterMs: Math.max(0, Math.round(seen.ackedAt - seen.liftedAt)),
    atRestAfterMs,
    requestsAgain: totals.retried,
    restarts: restartsOf(deployment) - restartsBefore,
    ...(seed === undefined ? {} : { seed }),
  }
  task.meta.row = result
  show(task.name, result, totals, struck)
  assertRow(plan, result)
  return result
}

async function strike(
  plan: RowPlan,
  seen: { acked: number; inFlight: number; isOver: boolean; liftedAt: number },
  events: number,
): Promise<Struck> {
  const lifted = () => {
    if (seen.liftedAt === 0) seen.liftedAt = performance.now()
  }
  try {
    const share = async (wanted: number) => {
      await waitFor(() => seen.acked >= events * wanted, {
        timeoutMs: 60_000,
        everyMs: 5,
        what: `${wanted * 100} % of the load`,
      })
    }
    await share(0.1)
    return await plan.fault({
      acked: () => seen.acked,
      inFlight: () => seen.inFlight,
      share,
      lifted,
    })
  } finally {
    lifted()
    seen.isOver = true
  }
}

function restartsOf({ stack }: Deployment): number {
  return stack.processes.reduce((sum, process) => sum + process.restarts(), 0)
}

function show(title: string, result: RowResult, totals: LoadTotals, struck: Struck): void {
  const { events, deliveries, hits } = result
  printTable(title, {
    ...(result.seed === undefined ? {} : { seed: result.seed }),
    'work that was hit': hits,
    ...struck.figures,
    'requests sent again': `${totals.retried} of ${totals.requests}`,
    'processes restarted': result.restarts,
    'accepting again, ms': result.acceptingAfterMs,
    'at rest again, ms': result.atRestAfterMs,
    events,
    deliveries,
  })
}

/** Every assertion has a name: sabotage.deep.ts asks which of them went red. */
function assertRow(plan: RowPlan, result: RowResult): void {
  const { events, deliveries, hits } = result
  expect(events, 'every event exactly once').toMatchObject({
    lost: 0,
    duplicated: 0,
    phantom: 0,
    altered: 0,
    failed: 0,
    ...plan.events,
  })
  expect(deliveries, 'every message at most once, and none forgotten').toMatchObject({
    doubled: 0,
    repeated: 0,
    unexpected: 0,
    missing: 0,
    ...plan.deliveries,
  })
  if (plan.restarts !== undefined)
    expect(result.restarts, 'no process ends but those that were ended').toBe(plan.restarts)
  // Last: what goes wrong says more than what was not hit, and a defect can be why there was no work to hit.
  for (const [what, count] of Object.entries(hits))
    expect(count, `the fault hit work: ${what}`).toBeGreaterThan(0)
}
