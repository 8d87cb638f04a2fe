// What was measured of this version: CPU an event in every pool, jobs, bytes. domain/capacity.json holds the figures with
// machine and commit; loadtest/measure-capacity.ts writes it. Pure.

export type Capacity = {
  measured: { machine: string; commit: string; date: string; loadAverage: number; eventsPerSecond: number }
  cpuMicrosecondsPerEvent: Record<
    'collector' | 'ingest' | 'persist' | 'segment' | 'archive' | 'postgres' | 'redis',
    number
  >
  /** Of the collector, where each request brings one event. */
  cpuMicrosecondsPerSingleRequest: number
  cpuMicrosecondsPerDelivery: { deliver: number; postgres: number }
  /** For segment: one job a shard and group of events. */
  eventsPerJob: Record<'ingest' | 'persist' | 'segment' | 'archive', number>
  postgresBytesPerEvent: number
  redisBytesPerWaitingEvent: number
  /** From spawn until it takes jobs. */
  processStartSeconds: number
}
