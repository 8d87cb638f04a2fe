// Run by hand: how ingest fares while one channel is dead and the archive is stopped for long, against how it fared just
// before. `node tests/faults/outage.ts [seconds] [events a second]`; ten minutes at 5,000 unless told. Not part of the
// suite: backpressure.deep.ts is the short form of it, without a rate.
import { join } from 'node:path'
import { readCounter } from '../../cli/demo/counts.ts'
import { pauseQueues } from '../../queues/control.ts'
import { sampleQueues } from '../../queues/depth.ts'
import { allQueueNames, archive } from '../../queues/pipeline.ts'
import { startDeployment } from '../support/deployment.ts'
import { printTable } from './judge.ts'
import { openLedger } from './ledger.ts'
import { buyerIdentities, type Message, runLoad, shopping } from './load.ts'

const [seconds = 600, eventsPerSecond = 5000] = process.argv.slice(2).map(Number)
const CALM_SECONDS = 60

function* strolling(startMs: number): Generator<Message> {
  for (const message of shopping(startMs)) {
    if (message.event === 'Product Viewed') yield { ...message, messageId: `calm-${message.messageId}` }
  }
}

const deployment = await startDeployment({ config: { localRedisMaxmemoryMb: 1024 } })
const { stack, sql, redis, dataDir, note, httpUrl } = deployment
const ledger = await openLedger(join(dataDir, 'ledger.jsonl'))
const startMs = Date.now() - 86_400_000
const common = { httpUrls: [httpUrl], writeKey: note.writeKey, ledger, connections: 8, batchSize: 100 }
const ingested = () => {
  const { probes } = stack.processOf('ingest').addresses()
  return readCounter(`${probes}/metrics`, 'millrace_events_total', ['stage="ingest"', 'verdict="normalised"'])
}

/** Sends for a while; returns what ingest did a second, and what was refused. */
async function phase(messages: Iterator<Message>, forSeconds: number) {
  const before = await ingested()
  const startedAt = performance.now()
  const until = startedAt + forSeconds * 1000
  const totals = await runLoad({
    ...common,
    messages,
    eventsPerSecond,
    isEnough: () => performance.now() >= until,
  })
  const rate = ((await ingested()) - before) / ((performance.now() - startedAt) / 1000)
  return { rate, ...totals }
}

const identities = buyerIdentities(startMs)
await runLoad({
  ...common,
  messages: identities[Symbol.iterator](),
  eventsPerSecond: 10_000,
  isEnough: (acked) => acked >= identities.length,
})
const calm = await phase(strolling(startMs), CALM_SECONDS)

stack.sinks.pause('email')
await pauseQueues(redis, stack.config.namespace, [archive.name])
let mostMemory = 0
const watch = setInterval(async () => {
  const sample = await sampleQueues(
    redis,
    stack.config.namespace,
    allQueueNames(stack.config.shards),
    Date.now(),
  )
  mostMemory = Math.max(mostMemory, (sample.usedMemoryBytes / sample.maxMemoryBytes) * 100)
}, 1000)
const broken = await phase(shopping(startMs), seconds)
clearInterval(watch)
const [rows] = await sql<{ kept: number }[]>`select count(*)::int as kept from events`
const [gaps] = await sql<{ all: number; events: number }[]>`
  select count(*)::int as all, coalesce(sum(events), 0)::int as events from archive_gaps`
printTable('One channel dead and the archive stopped', {
  'seconds broken': seconds,
  'ingested a second before': Math.round(calm.rate),
  'ingested a second meanwhile': Math.round(broken.rate),
  'of the rate before': Number((broken.rate / calm.rate).toFixed(3)),
  acknowledged: identities.length + calm.acked + broken.acked,
  'rows at the end of sending': rows?.kept,
  'requests sent again': calm.retried + broken.retried,
  'most Redis memory, % of its limit': Number(mostMemory.toFixed(1)),
  'mark, %': stack.config.softMemoryPercent,
  'sent meanwhile': stack.sinks.counts(),
  'archive gaps': gaps,
})
await ledger.close()
await deployment.close()
