// What one busy core of each pool and store carries, as rows of a table: printed by `millrace scale capacity`, and compared
// with README.md by a test. Pure.
import type { Capacity } from '../../domain/capacity.ts'
import { STORE_USE, USE } from '../../domain/scale-plan.ts'

export const CAPACITY_COLUMNS = ['pool or store', 'CPU an event', 'events/s a core', 'planned with'] as const

export function capacityRows(capacity: Capacity): string[][] {
  const {
    cpuMicrosecondsPerEvent: cpu,
    cpuMicrosecondsPerSingleRequest,
    cpuMicrosecondsPerDelivery,
  } = capacity
  const row = (name: string, microseconds: number, unit = 'µs', use = USE) => [
    name,
    `${whole(microseconds)} ${unit}`,
    whole(Math.floor(1e6 / microseconds)),
    whole(Math.floor((use * 1e6) / microseconds)),
  ]
  return [
    row('collector, batches of 100', cpu.collector),
    row('collector, one event a request', cpuMicrosecondsPerSingleRequest),
    row('ingest', cpu.ingest),
    row('persist', cpu.persist),
    row('segment, one rule', cpu.segment),
    row('archive, files', cpu.archive),
    row('deliver', cpuMicrosecondsPerDelivery.deliver, 'µs a message'),
    row('Postgres', cpu.postgres, 'µs', STORE_USE),
    row('Redis', cpu.redis, 'µs', STORE_USE),
  ]
}

function whole(value: number): string {
  return value.toLocaleString('en-US')
}
