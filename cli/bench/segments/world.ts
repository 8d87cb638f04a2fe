// What the phases of the segment benchmark share: the running stack, its people, and the ways into its segment pool.

import { checkRule } from '../../../domain/segments/version.ts'
import { createSender, type Sender } from '../../../queues/sender.ts'
import { bumpGeneration } from '../../../store/segment-generation.ts'
import { insertSegment, insertVersion, listSegments } from '../../../store/segments.ts'
import { type Servers, spreadOver } from '../../../store/servers.ts'
import { inTransaction } from '../../../store/sql.ts'
import { jobsInFlow } from '../../demo/counts.ts'
import { type Bench, readCpu } from '../phases.ts'

/** A bar, or a line at every tenth, of one stage; `total` has been reached when it is done. */
export type Bar = { set(done: number): void; done(): void }
export type OpenBar = (name: string, total: number) => Bar

export type SegmentBench = Bench & {
  servers: Servers
  sender: Sender
  /** By name. */
  eventIds: ReadonlyMap<string, number>
  say(text: string): void
  bar: OpenBar
}

export function openSegmentBench(
  bench: Bench,
  tools: Pick<SegmentBench, 'eventIds' | 'say' | 'bar'>,
): SegmentBench {
  const { redis, stack, sql } = bench
  const { namespace } = stack.config
  const sender = createSender({ redis, namespace })
  return { ...bench, ...tools, sender, servers: spreadOver([sql], namespace) }
}

/** Makes them live without a run through everybody: whoever asks for one says when it begins. Returns their numbers. */
export async function goLive(
  { sql }: Pick<Bench, 'sql'>,
  segments: { slug: string; rule: unknown }[],
): Promise<number[]> {
  return inTransaction(sql, async (tx) => {
    const segmentIds: number[] = []
    for (const { slug, rule } of segments) {
      const version = { ...checkRule(rule), author: 'bench', note: '', status: 'live' as const }
      const segmentId = await insertSegment(tx, { slug, name: slug, rule: version.rule })
      if (segmentId === undefined) throw new Error(`there is a segment ${slug} already`)
      const number = await insertVersion(tx, segmentId, version)
      await tx`update segments set live_version = ${number} where segment_id = ${segmentId}`
      segmentIds.push(segmentId)
    }
    await bumpGeneration(tx)
    return segmentIds
  })
}

/** By slug. */
export async function segmentIdsOf({ sql }: Pick<Bench, 'sql'>): Promise<Map<string, number>> {
  return new Map((await listSegments(sql)).map((one) => [one.slug, one.segmentId]))
}

/** CPU seconds. `worker` = the process with the segment pool, `postgres` with all its backends. */
export type Cpu = { worker: number; postgres: number; redis: number }

/** What `work` cost while it ran. */
export async function withCpu<T>(bench: Bench, work: () => Promise<T>): Promise<{ result: T; cpu: Cpu }> {
  const read = (): Cpu => {
    const seconds = readCpu(bench)
    const worker = seconds[bench.stack.processOf('segment').pools.join('+')] ?? 0
    return { worker, postgres: seconds.postgres ?? 0, redis: seconds.redis ?? 0 }
  }
  const before = read()
  const result = await work()
  const after = read()
  const spent = (of: keyof Cpu) => after[of] - before[of]
  return {
    result,
    cpu: { worker: spent('worker'), postgres: spent('postgres'), redis: spent('redis') },
  }
}

const TIMED_LOOK_MS = 250

/** A bar that goes by the clock, for what takes a time that is known. */
export async function timed<T>(
  { bar: open }: Pick<SegmentBench, 'bar'>,
  { name, seconds }: { name: string; seconds: number },
  work: () => Promise<T>,
): Promise<T> {
  const bar = open(name, seconds)
  const startedAt = performance.now()
  const look = () => bar.set(Math.min(seconds, Math.floor((performance.now() - startedAt) / 1000)))
  const timer = setInterval(look, TIMED_LOOK_MS)
  try {
    return await work()
  } finally {
    clearInterval(timer)
    bar.done()
  }
}

const LOOK_MS = 50
export const HOUR_MS = 3_600_000

/** The time (performance.now) of the first of three looks that found no job anywhere; `left` is told of every look. */
export async function whenDrained(
  { redis, stack }: Bench,
  left: (jobs: number) => void = () => {},
): Promise<number> {
  const deadline = performance.now() + HOUR_MS
  let emptySince: number | undefined
  for (let looks = 0; ; ) {
    const at = performance.now()
    const jobs = await jobsInFlow(redis, stack.config)
    left(jobs)
    if (jobs > 0) {
      looks = 0
      emptySince = undefined
    } else {
      emptySince ??= at
      looks += 1
      if (looks === 3) return emptySince
    }
    if (at > deadline) throw new Error(`the queues still hold ${jobs} jobs after an hour`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}
