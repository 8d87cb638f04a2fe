// persist: events in the one form -> one transaction a group of jobs -> who was touched, by shard.
import { persist, segment } from '../../queues/pipeline.ts'
import { beginAtZero } from '../../runtime/instruments.ts'
import { definePool } from '../define.ts'
import { openPersister } from './group.ts'

export const persistPool = definePool({
  name: 'persist',
  consumes: persist,
  produces: [segment],
  // Many jobs wait for one group commit: concurrency bounds how many events one process holds.
  work: { concurrency: 100, timeoutMs: 60_000 },
  open(deps) {
    beginAtZero(deps.metrics.events, {
      stage: ['persist'],
      verdict: ['kept', 'duplicate', 'conflict', 'failed'],
    })
    return openPersister(deps)
  },
  handle: (batch, persister) => persister.add(batch),
  close: (persister) => persister.close(),
})
