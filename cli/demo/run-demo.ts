// Replays the generated shop through the real pipeline over HTTP, watches it arrive, and compares what is there with an
// independent fold. Runs in a process of its own (apart.ts), for `millrace start` (which then stays up) and `millrace
// demo` (which then stops).
import { connectProducer, whenReady } from '../../queues/connection.ts'
import type { Config } from '../../runtime/config.ts'
import { findServers } from '../../store/server-map.ts'
import { connectServers, endAll } from '../../store/servers.ts'
import { countShards } from '../../store/shard-map.ts'
import type { CliIo } from '../io.ts'
import { countDemoEvents, readCounter, readDemoCounts, readOutboxCounts, waitUntilDrained } from './counts.ts'
import { type Expected, foldShop } from './fold.ts'
import type { SegmentMessage } from './message.ts'
import { createProgress } from './progress.ts'
import { withResends } from './resends.ts'
import { openBatchSender, type SendTotals } from './send.ts'
import { DEMO_SEED, DEMO_SEGMENT, type DemoNote, setUpDemo, writeDemoNote } from './setup.ts'
import { generateShop } from './shop.ts'
import { allAgree, formatTable, type TableRow } from './table.ts'

const BATCH = 100
const CONNECTIONS = 4
const RESEND_SHARE = 0.01
const DRAIN_TIMEOUT_MS = 180_000

/** What the demo needs to know of a running deployment. */
export type DemoTarget = {
  httpUrl: string
  outboxUrl: string
  /** Probes of the process that persists; undefined counts no duplicates. */
  persistUrl: string | undefined
}
export type DemoResult = { agrees: boolean; note: DemoNote }
export type DemoIo = Pick<CliIo, 'write' | 'isTerminal' | 'columns' | 'colours'>

/** Returns whether every count is as expected, and the keys to go on with. */
export async function runDemo(given: Config, target: DemoTarget, io: DemoIo): Promise<DemoResult> {
  const all = connectServers({
    urls: given,
    namespace: given.namespace,
    max: 2,
    applicationName: 'millrace-demo',
  })
  const [sql] = all
  const redis = connectProducer(given.redisUrl)
  await whenReady(redis)
  try {
    const config = { ...given, shards: await countShards(sql) }
    const servers = await findServers(all, given.namespace)
    const note = await setUpDemo(sql, config.dataDir, Date.now())
    const shop = generateShop({ seed: DEMO_SEED, anchor: new Date(note.anchor) })
    const stream = withResends(shop, RESEND_SHARE, DEMO_SEED)
    const expected = foldShop(stream, new Date())
    if (note.finishedAt !== undefined) {
      io.write(
        `The demo shop of ${note.finishedAt.slice(0, 16).replace('T', ' ')} UTC is there already; nothing is sent again.\n\n`,
      )
      const found = await readDemoCounts(servers)
      const rows = storedRows(expected, found, note.expectedDeliveries ?? expected.deliveries)
      io.write(formatTable(rows, { colours: io.colours }))
      return { agrees: allAgree(rows), note }
    }
    io.write(`Sending a shop of 60 days: ${shop.length.toLocaleString('en-US')} events, some of them twice\n`)
    // Not none when an earlier start was interrupted: what it sent counts as sent again.
    const already = await countDemoEvents(servers)
    const before = await countDuplicates(target)
    const totals = await sendWatched({
      target,
      note,
      stream,
      expected,
      io,
      count: () => countDemoEvents(servers),
      drained: () => waitUntilDrained(redis, config, DRAIN_TIMEOUT_MS),
    })
    const after = await countDuplicates(target)
    const found = await readDemoCounts(servers)
    const rows: TableRow[] = [
      { name: 'events sent', expected: expected.sent, actual: totals.sent },
      { name: 'accepted', expected: expected.sent, actual: totals.accepted },
      ...storedRows(expected, found, expected.deliveries).slice(0, 1),
      { name: 'duplicates', expected: expected.sent - expected.unique + already, actual: after - before },
      ...storedRows(expected, found, expected.deliveries).slice(1),
      {
        name: 'emails in the outbox',
        expected: expected.deliveries.email,
        actual: (await readOutboxCounts(target.outboxUrl)).email,
      },
    ]
    io.write(`\n${formatTable(rows, { colours: io.colours })}`)
    const agrees = allAgree(rows)
    if (agrees)
      writeDemoNote(config.dataDir, {
        ...note,
        finishedAt: new Date().toISOString(),
        expectedDeliveries: expected.deliveries,
      })
    return { agrees, note }
  } finally {
    await endAll(all, 5)
    redis.disconnect()
  }
}

function storedRows(
  expected: Expected,
  found: Awaited<ReturnType<typeof readDemoCounts>>,
  deliveries: Expected['deliveries'],
): TableRow[] {
  return [
    { name: 'persisted', expected: expected.unique, actual: found.persisted },
    { name: 'failed', expected: 0, actual: found.failed },
    { name: 'users', expected: expected.users, actual: found.users },
    { name: 'known users', expected: expected.known, actual: found.known },
    { name: 'sessions', expected: expected.sessions, actual: found.sessions },
    { name: `in ${DEMO_SEGMENT}`, expected: expected.members.size, actual: found.members },
    { name: 'delivered by email', expected: deliveries.email, actual: found.deliveries.email },
    { name: 'delivered by push', expected: deliveries.push, actual: found.deliveries.push },
    { name: 'delivered by webhook', expected: deliveries.webhook, actual: found.deliveries.webhook },
  ]
}

/** Sends everything while a display follows what was sent, accepted and persisted; returns once the queues are empty. */
async function sendWatched(run: {
  target: DemoTarget
  note: DemoNote
  stream: SegmentMessage[]
  expected: Expected
  io: DemoIo
  count(): Promise<number>
  drained(): Promise<void>
}): Promise<SendTotals> {
  const { stream, expected, io } = run
  const sender = openBatchSender({
    httpUrl: run.target.httpUrl,
    writeKey: run.note.writeKey,
    connections: CONNECTIONS,
  })
  const deliveries = expected.deliveries.email + expected.deliveries.push + expected.deliveries.webhook
  const progress = createProgress({
    write: io.write,
    isTerminal: io.isTerminal,
    columns: io.columns,
    now: Date.now,
    stages: [
      { name: 'sent', total: stream.length },
      { name: 'accepted', total: stream.length },
      { name: 'persisted', total: expected.unique },
      { name: 'delivered', total: deliveries },
    ],
  })
  const look = async () => {
    const [persisted, counts] = await Promise.all([run.count(), readOutboxCounts(run.target.outboxUrl)])
    progress.set('persisted', persisted)
    progress.set('sent', sender.totals.sent)
    progress.set('accepted', sender.totals.accepted)
    progress.set('delivered', counts.email + counts.push + counts.webhook)
  }
  let watching = true
  const watcher = (async () => {
    while (watching) {
      await look()
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  })()
  try {
    let next = 0
    const lane = async () => {
      while (next < stream.length) {
        const from = next
        next += BATCH
        await sender.send(stream.slice(from, from + BATCH))
      }
    }
    await Promise.all(Array.from({ length: CONNECTIONS }, lane))
    await run.drained()
  } finally {
    watching = false
    await watcher
    sender.close()
  }
  await look()
  progress.finish()
  return sender.totals
}

/** Duplicates as the persist processes count them. */
async function countDuplicates({ persistUrl }: DemoTarget): Promise<number> {
  return persistUrl === undefined
    ? 0
    : readCounter(`${persistUrl}/metrics`, 'millrace_events_total', [
        'stage="persist"',
        'verdict="duplicate"',
      ])
}
