// The door of the write edge: open, or closed with the reason and when to come back. Asked once a request, from
// memory; decides anew only when the depth sampler has a new sample. Never looks at the request itself.
//
// Three states. `open` takes everything. Over a soft mark it is `soft` and answers 429, over a hard mark (or without
// Redis) it is `hard` and answers 503. A closed door opens again only below 0.7 of the marks, so that it does not
// flutter: hard → soft below 0.7 of all hard marks, soft → open below 0.7 of all soft marks.
import type { Sample } from '../queues/depth.ts'
import type { Config } from '../runtime/config.ts'

export type GateState = 'open' | 'soft' | 'hard'
export const GATE_REASONS = ['depth', 'age', 'memory', 'redis', 'lag'] as const
export type GateReason = (typeof GATE_REASONS)[number]

/** Each measure as a share of its mark; 1 = at the mark. */
export type Load = { depth: number; age: number; memory: number }
export type Loads = { soft: Load; hard: Load; waitingJobs: number }

const REOPEN_BELOW = 0.7
/** There is one age mark in the configuration; four times that is the hard one. */
const HARD_AGE_FACTOR = 4
/** The queues that hold accepted events until Postgres has them; only they close the door, with Redis' memory. */
const WATCHED = ['ingest', 'persist'] as const

export type Marks = Pick<
  Config,
  'softDepthJobs' | 'hardDepthJobs' | 'softAgeMs' | 'softMemoryPercent' | 'hardMemoryPercent'
>

/** How full the pipeline is, by a sample. */
export function loadsOf(sample: Sample, marks: Marks): Loads {
  let waitingJobs = 0
  let oldestAgeMs = 0
  for (const name of WATCHED) {
    const lane = sample.lanes.get(name)
    if (lane === undefined) continue
    waitingJobs += lane.waiting
    oldestAgeMs = Math.max(oldestAgeMs, lane.oldestAgeMs)
  }
  const memoryPercent = sample.maxMemoryBytes > 0 ? (sample.usedMemoryBytes / sample.maxMemoryBytes) * 100 : 0
  return {
    waitingJobs,
    soft: {
      depth: waitingJobs / marks.softDepthJobs,
      age: oldestAgeMs / marks.softAgeMs,
      memory: memoryPercent / marks.softMemoryPercent,
    },
    hard: {
      depth: waitingJobs / marks.hardDepthJobs,
      age: oldestAgeMs / (marks.softAgeMs * HARD_AGE_FACTOR),
      memory: memoryPercent / marks.hardMemoryPercent,
    },
  }
}

/** The next state and what it is for. Pure. */
export function decide(
  previous: GateState,
  reachable: boolean,
  loads: Loads,
): { state: GateState; reason: GateReason } {
  if (!reachable) return { state: 'hard', reason: 'redis' }
  const hard = worst(loads.hard)
  if (hard.share >= (previous === 'hard' ? REOPEN_BELOW : 1)) return { state: 'hard', reason: hard.reason }
  const soft = worst(loads.soft)
  if (soft.share >= (previous === 'open' ? 1 : REOPEN_BELOW)) return { state: 'soft', reason: soft.reason }
  return { state: 'open', reason: soft.reason }
}

function worst(load: Load): { reason: GateReason; share: number } {
  if (load.depth >= load.age && load.depth >= load.memory) return { reason: 'depth', share: load.depth }
  return load.age >= load.memory
    ? { reason: 'age', share: load.age }
    : { reason: 'memory', share: load.memory }
}

/**
 * Seconds until the backlog should be below the reopening mark at the rate it drains, 1 to 60; 5 where no rate is known.
 * `random` (0 … 1) spreads clients over a quarter either way, so that they do not come back together.
 */
export function retryAfterSeconds(
  waitingJobs: number,
  marks: Marks,
  drainJobsPerSecond: number,
  random: number,
): number {
  const excess = waitingJobs - marks.softDepthJobs * REOPEN_BELOW
  const seconds = drainJobsPerSecond > 0 && excess > 0 ? excess / drainJobsPerSecond : 5
  return Math.round(Math.min(60, Math.max(1, seconds * (0.75 + random * 0.5))))
}

export type Refusal = { state: 'soft' | 'hard'; reason: GateReason; retryAfterS: number }
export type Gate = {
  /** Undefined while the door is open. */
  refusal(): Refusal | undefined
  stop(): void
}

/** Opens the gate of one process; `onChange` hears of every change of state. */
export function openGate(options: {
  current: () => Sample
  marks: Marks
  random: () => number
  onChange: (state: GateState, reason: GateReason) => void
}): Gate {
  let seenAt = -1
  let now: { state: GateState; reason: GateReason } = { state: 'open', reason: 'depth' }
  let waitingJobs = 0
  let drainJobsPerSecond = 0
  const lag = watchLag()

  const look = (sample: Sample) => {
    const loads = loadsOf(sample, options.marks)
    const seconds = (sample.takenAt - seenAt) / 1000
    const drained = waitingJobs - loads.waitingJobs
    // Measured while closed, when nothing comes in: only then is the fall of the depth the rate of draining.
    if (now.state !== 'open' && seenAt > 0 && seconds > 0 && drained > 0) {
      drainJobsPerSecond = drainJobsPerSecond * 0.7 + (drained / seconds) * 0.3
    }
    seenAt = sample.takenAt
    waitingJobs = loads.waitingJobs
    const next = decide(now.state, sample.reachable, loads)
    if (next.state !== now.state) options.onChange(next.state, next.reason)
    now = next
  }

  return {
    refusal() {
      if (lag.isLate()) return { state: 'hard', reason: 'lag', retryAfterS: 1 }
      const sample = options.current()
      if (sample.takenAt !== seenAt) look(sample)
      if (now.state === 'open') return undefined
      const wait = retryAfterSeconds(waitingJobs, options.marks, drainJobsPerSecond, options.random())
      return { state: now.state, reason: now.reason, retryAfterS: wait }
    },
    stop: () => lag.stop(),
  }
}

const LAG_CHECK_MS = 250
const LAG_LIMIT_MS = 1000
/** Without requests for so long nobody watches: an idle process sleeps. */
const WATCH_MS = 10_000

/** Late while the event loop was blocked for more than a second: requests that piled up meanwhile are sent away. */
function watchLag(): { isLate(): boolean; stop(): void } {
  let late = false
  let due = 0
  let watchUntil = 0
  let timer: NodeJS.Timeout | undefined
  const check = () => {
    const now = performance.now()
    late = now - due > LAG_LIMIT_MS
    due = now + LAG_CHECK_MS
    if (now < watchUntil || late) return
    stop()
  }
  const stop = () => {
    clearInterval(timer)
    timer = undefined
  }
  return {
    isLate() {
      const now = performance.now()
      watchUntil = now + WATCH_MS
      if (timer === undefined) {
        due = now + LAG_CHECK_MS
        timer = setInterval(check, LAG_CHECK_MS)
        timer.unref()
      }
      return late
    },
    stop,
  }
}
