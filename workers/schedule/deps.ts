// What every task of the clock is given.
import type { archive, deliver, schedule, segment } from '../../queues/pipeline.ts'
import type { PoolDeps } from '../define.ts'

export type ScheduleDeps = PoolDeps<typeof segment | typeof deliver | typeof archive | typeof schedule>
