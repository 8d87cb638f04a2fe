// Replays the generated shop through the real pipeline over HTTP, watches it arrive, and compares what is there with an
// independent fold. Shared by `millrace start` (which then stays up) and `millrace demo` (which then stops).
import { connectProducer, whenReady } from '../../queues/connection.ts'
import { connectSql } from '../../store/sql.ts'
import type { CliIo } from '../io.ts'
import type { Stack } from '../local/stack.ts'
import { countDemoEvents, readCounter, readDemoCounts, waitUntilDrained } from './counts.ts'
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

/** Returns whether every count is as expected, and the keys to go on with. Rejects soon after `interrupted`. */
export async function runDemo(
  stack: Stack,
  io: CliIo,
  interrupted: AbortSignal,
): Promise<{ agrees: boolean; note: DemoNote }> {
  const { config } = stack
  const sql = connectSql({
    url: config.databaseUrl,
    namespace: config.namespace,
    max: 2,
    applicationName: 'millrace-demo',
  })
  const redis = connectProducer(config.redisUrl)
  await whenReady(redis)
  try {
    const note = await setUpDemo(sql, config.dataDir, Date.now())
    const shop = generateShop({ seed: DEMO_SEED, anchor: new Date(note.anchor) })
    const stream = withResends(shop, RESEND_SHARE, DEMO_SEED)
    const expected = foldShop(stream, new Date())
    if (note.finishedAt !== undefined) {
      io.write(
        `The demo shop of ${note.finishedAt.slice(0, 16).replace('T', ' ')} UTC is there already; nothing is sent again.\n\n`,
      )
      const found = await readDemoCounts(sql)
      const rows = storedRows(expected, found, note.expectedDeliveries ?? expected.deliveries)
      io.write(formatTable(rows, { colours: io.colours }))
      return { agrees: allAgree(rows), note }
    }
    io.write(`Sending a shop of 60 days: ${shop.length.toLocaleString('en-US')} events, some of them twice\n`)
    // Not none when an earlier start was interrupted: what it sent counts as sent again.
    const already = await countDemoEvents(sql)
    const before = await readVerdicts(stack)
    const totals = await sendWatched({
      stack,
      note,
      stream,
      expected,
      io,
      interrupted,
      count: () => countDemoEvents(sql),
      drained: (look) => waitUntilDrained(redis, config, DRAIN_TIMEOUT_MS, look),
    })
    interrupted.throwIfAborted()
    const after = await readVerdicts(stack)
    const found = await readDemoCounts(sql)
    const rows: TableRow[] = [
      { name: 'events sent', expected: expected.sent, actual: totals.sent },
      { name: 'accepted', expected: expected.sent, actual: totals.accepted },
      ...storedRows(expected, found, expected.deliveries).slice(0, 1),
      { name: 'duplicates', expected: expected.sent - expected.unique + already, actual: after - before },
      ...storedRows(expected, found, expected.deliveries).slice(1),
      {
        name: 'emails in the outbox',
        expected: expected.deliveries.email,
        actual: stack.sinks.counts().email,
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
    await sql.end({ timeout: 5 })
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
  stack: Stack
  note: DemoNote
  stream: SegmentMessage[]
  expected: Expected
  io: CliIo
  interrupted: AbortSignal
  count(): Promise<number>
  drained(onLook: (jobs: number) => void): Promise<void>
}): Promise<SendTotals> {
  const { stream, expected, io, interrupted } = run
  const sender = openBatchSender({
    httpUrl: run.stack.addresses().http ?? '',
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
  const draw = () => {
    if (interrupted.aborted) return
    const counts = run.stack.sinks.counts()
    progress.set('sent', sender.totals.sent)
    progress.set('accepted', sender.totals.accepted)
    progress.set('delivered', counts.email + counts.push + counts.webhook)
  }
  let watching = true
  const watcher = (async () => {
    while (watching) {
      progress.set('persisted', await run.count())
      draw()
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  })()
  try {
    let next = 0
    const lane = async () => {
      while (next < stream.length && !interrupted.aborted) {
        const from = next
        next += BATCH
        await sender.send(stream.slice(from, from + BATCH))
      }
    }
    await Promise.all(Array.from({ length: CONNECTIONS }, lane))
    await run.drained(draw)
  } finally {
    watching = false
    await watcher
    sender.close()
  }
  progress.set('persisted', await run.count())
  draw()
  progress.finish()
  return sender.totals
}

/** Duplicates as the persist processes count them. */
async function readVerdicts(stack: Stack): Promise<number> {
  const url = stack.processOf('persist').addresses().probes
  return url === undefined
    ? 0
    : readCounter(`${url}/metrics`, 'millrace_events_total', ['stage="persist"', 'verdict="duplicate"'])
}
