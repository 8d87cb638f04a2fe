// Runs through all profiles (store/segment-runs.ts), chunk by chunk: each part has one chunk on the queues at a time, and who
// has evaluated it sends the next. So a run of millions takes no room in the queues, live events never stand behind it, and
// it goes on where it was when a process dies: a chunk that is evaluated twice changes nothing.
import { shardOfProfile } from '../domain/buckets.ts'
import type { SegmentRunPart, TouchedUsers } from '../schema/jobs.ts'
import { segment } from './pipeline.ts'
import type { Send } from './sender.ts'

/** What a chunk did: who was evaluated, up to `lastProfileId`. */
export type ChunkDone = { lastProfileId: number; evaluated: number; entered: number; exited: number }

export type RunStore = {
  /** Lets waiting runs begin, as many as may go on at a time; returns their parts. */
  start(): Promise<SegmentRunPart[]>
  /** The next profiles of a part, in key order. */
  read(part: SegmentRunPart): Promise<{ profileIds: number[]; isLast: boolean }>
  /** Moves the part's cursor. Undefined when the run is over, or somebody else has gone on from here. */
  advance(part: SegmentRunPart, done: ChunkDone): Promise<SegmentRunPart | undefined>
  /** Closes a part; true when that was the last one of its run. */
  end(part: SegmentRunPart): Promise<boolean>
  /** Parts that did not move for so long: their chunk may be lost. */
  idle(idleMs: number): Promise<SegmentRunPart[]>
}

export type RunDeps = { send: Send<typeof segment>; runs: RunStore; shards: number; nowMs: number }

/** Sends the first chunks of whatever may begin. Called after a change is committed, when a run ends, and by the sweep. */
export async function startRuns(deps: RunDeps): Promise<number> {
  let parts = 0
  for (const part of await deps.runs.start()) {
    await sendChunk(deps, part)
    parts += 1
  }
  return parts
}

/** Sends the next chunk of a part, or closes it. The job id follows from the chunk: it is one job while it waits. */
export async function sendChunk(deps: RunDeps, part: SegmentRunPart): Promise<void> {
  const { send, runs, shards, nowMs } = deps
  const { profileIds, isLast } = await runs.read(part)
  const [first] = profileIds
  if (first === undefined) return endPart(deps, part)
  const chunk: TouchedUsers = {
    v: 1,
    batchId: `run-${part.runId}-${part.part}-${first}`,
    shard: shardOfProfile(first, shards),
    reason: part.reason,
    profileIds,
    run: { ...part, isLast },
    receivedAt: nowMs,
  }
  await send(segment, [chunk])
}

/** After a chunk is committed. Throws what the stores throw: the job comes again, and goes on from here. */
export async function continueRun(
  deps: RunDeps,
  { isLast, ...part }: NonNullable<TouchedUsers['run']>,
  done: ChunkDone,
): Promise<void> {
  const next = await deps.runs.advance(part, done)
  if (next === undefined) return
  await (isLast ? endPart(deps, next) : sendChunk(deps, next))
}

async function endPart(deps: RunDeps, part: SegmentRunPart): Promise<void> {
  if (await deps.runs.end(part)) await startRuns(deps)
}
