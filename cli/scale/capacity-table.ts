// What one busy core of each pool and store carries, as rows of a table: printed by `millrace scale capacity`, and compared
// with README.md by a test. Pure.
import type { Capacity } from '../../domain/capacity.ts'
import { STORE_USE, USE } from '../../domain/scale-plan.ts'

export const CAPACITY_COLUMNS = ['pool or store', 'CPU', 'a second and core', 'planned with'] as const

export function capacityRows(capacity: Capacity): string[][] {
  const {
    cpuMicrosecondsPerEvent: cpu,
    cpuMicrosecondsPerSingleRequest,
    cpuMicrosecondsPerDelivery,
  } = capacity
  const row = (name: string, microseconds: number, use = USE) => [
    name,
    `${whole(microseconds)} µs`,
    whole(Math.floor(1e6 / microseconds)),
    whole(Math.floor((use * 1e6) / microseconds)),
  ]
  return [
    row('collector, batches of 100', cpu.collector),
    row('collector, one event a request', cpuMicrosecondsPerSingleRequest),
    row('ingest, each event', cpu.ingest),
    row('persist, each event', cpu.persist),
    row('segment, one rule', cpu.segment),
    row('archive, files', cpu.archive),
    row('deliver, each message', cpuMicrosecondsPerDelivery.deliver),
    row('Postgres', cpu.postgres, STORE_USE),
    row('Redis', cpu.redis, STORE_USE),
  ]
}

function whole(value: number): string {
  return value.toLocaleString('en-US')
}
