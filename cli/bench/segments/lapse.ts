// Windows that lapse: people do something that keeps them in a segment for exactly a day, dated so that the day is over in
// some seconds. They come through the collector and enter; nobody does anything more, and the clock has to take them out.
// Lateness = from the instant at which the rule turned until the exit was recorded.
import { segment } from '../../../queues/pipeline.ts'
import { openHttpLoad } from '../load.ts'
import { LAPSING_EVENT } from './people.ts'
import { goLive, type SegmentBench, whenDrained } from './world.ts'

const DAY_MS = 86_400_000
const BATCH = 100
const LANES = 8
/** After the last window has lapsed. */
const PATIENCE_MS = 60_000
/** Looks cost what they count: seldom, so that they are no part of what is measured. */
const LOOK_MS = 250

const RULE = {
  match: {
    k: 'agg',
    event: LAPSING_EVENT,
    agg: 'count',
    window: { k: 'rolling', last: 'P1D' },
    op: 'gte',
    value: 1,
  },
}

export type Lapsed = { windows: number; p50Ms: number; p99Ms: number }

/** `leadMs`: from the first event sent to the first window that lapses; then all lapse, evenly, within `spreadMs`. */
export async function lapsingWindows(
  bench: SegmentBench,
  options: { windows: number; leadMs: number; spreadMs: number },
): Promise<Lapsed> {
  const { windows, leadMs, spreadMs } = options
  const [segmentId = 0] = await goLive(bench, [{ slug: 'bench-lapsing', rule: RULE }])
  const firstMs = Date.now() + leadMs
  await sendEvents(bench, windows, (i) => firstMs + Math.round((i * spreadMs) / windows) - DAY_MS)
  await whenDrained(bench)
  const entered = await enteredOf(bench, segmentId)
  if (entered < windows) bench.say(`${windows - entered} windows had lapsed before their event was evaluated`)
  if (entered === 0) throw new Error(`no ${segment.name} pass was in time for a window`)
  const deadline = firstMs + spreadMs + PATIENCE_MS
  const bar = bench.bar('exits', entered)
  for (;;) {
    const members = await membersOf(bench, segmentId)
    bar.set(entered - members)
    if (members === 0) break
    if (Date.now() > deadline) throw new Error(`${members} people did not leave whose window has lapsed`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  bar.done()
  const [row] = await bench.sql<{ p50: number; p99: number }[]>`
    select percentile_cont(0.5) within group (order by late) as p50,
      percentile_cont(0.99) within group (order by late) as p99
    from (
      select date_part('epoch', recorded_at - effective_at) * 1000 as late
      from membership_changes
      where segment_id = ${segmentId} and op = 'exit' and reason = 'time'
    ) exits`
  return { windows: entered, p50Ms: row?.p50 ?? Number.NaN, p99Ms: row?.p99 ?? Number.NaN }
}

async function sendEvents(
  { stack, writeKey, run }: SegmentBench,
  count: number,
  timeOf: (i: number) => number,
): Promise<void> {
  const load = openHttpLoad({ url: stack.addresses().http ?? '', writeKey, connections: LANES })
  let next = 0
  const lane = async () => {
    while (next < count) {
      const from = next
      next = Math.min(count, from + BATCH)
      const batch = Array.from({ length: next - from }, (_, i) => ({
        type: 'track',
        event: LAPSING_EVENT,
        messageId: `${run}-lapse-${from + i}`,
        userId: `user-${from + i}`,
        timestamp: new Date(timeOf(from + i)).toISOString(),
      }))
      const status = await load.post('/v1/batch', JSON.stringify({ batch }))
      if (status !== 200) throw new Error(`the collector answered ${status}`)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  load.close()
}

async function enteredOf({ sql }: SegmentBench, segmentId: number): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from membership_changes where segment_id = ${segmentId} and op = 'enter'`
  return row?.count ?? 0
}

async function membersOf({ sql }: SegmentBench, segmentId: number): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count from memberships where segment_id = ${segmentId}`
  return row?.count ?? 0
}
