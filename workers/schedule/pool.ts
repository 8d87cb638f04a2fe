// schedule: the clock. Tasks come from job schedulers, one at a time each; due segment timers are looked for by a loop
// beside them, since a job a second would cost an idle system more than the look.
import { archive, deliver, ingest, persist, schedule, segment } from '../../queues/pipeline.ts'
import { definePool } from '../define.ts'
import { openClock } from './clock.ts'

export const schedulePool = definePool({
  name: 'schedule',
  consumes: schedule,
  produces: [segment, deliver, archive, schedule],
  // What is over budget is left where it is and found again by the next run.
  neverWaitsFor: [segment, deliver, archive, schedule],
  // What the archive had no room for is read back when the flow has room.
  watches: [ingest, persist],
  work: { concurrency: 2, timeoutMs: 30 * 60_000 },
  open: (deps) => openClock(deps),
  handle: ({ task }, clock, job) => clock.run(task, job),
  close: (clock) => clock.stop(),
})
