// What a persist process remembers of the database between groups: numbers of event names and which event partitions
// exist. Both only grow (until retention drops a partition), are small, and are asked for in one statement when missing.
import { BUCKET_RANGES, rangeOfProfile } from '../../domain/buckets.ts'
import type { AskedEvent } from '../../domain/segments/asked.ts'
import type { NormalEvent } from '../../schema/event.ts'
import { ensureEventPartitions, numberEventNames, weekOf } from '../../store/events.ts'
import type { Servers } from '../../store/servers.ts'

/** New names one source may bring; beyond it events count under the name '' and keep their text in the envelope. */
const MAX_NAMES_PER_SOURCE = 10_000
const DAY_MS = 86_400_000

export type Catalog = {
  /** The number of each event's name; names that are new get one. */
  eventIds(events: NormalEvent[]): Promise<number[]>
  ensurePartitions(rows: { bucket: number; timeMs: number }[]): Promise<void>
  forgetPartitions(): void
  /** The numbers of those of `asked` that this process has met: all that its own groups can hold. */
  numbersOf(asked: AskedEvent[]): Set<number>
}

export function openCatalog(servers: Servers): Catalog {
  const numbers = new Map<string, number>()
  let partitions = new Set<number>()

  return {
    async eventIds(events) {
      const keys = events.map((event) => `${event.type}\u0000${event.name}`)
      const missing = new Map<string, { type: string; name: string; sourceId: number }>()
      events.forEach((event, i) => {
        const key = keys[i]
        if (key === undefined || numbers.has(key)) return
        missing.set(key, { type: event.type, name: event.name, sourceId: event.sourceId })
        missing.set(`${event.type}\u0000`, { type: event.type, name: '', sourceId: event.sourceId })
      })
      if (missing.size > 0) {
        const rows = await numberEventNames(servers.home, [...missing.values()], MAX_NAMES_PER_SOURCE)
        for (const row of rows) numbers.set(`${row.type}\u0000${row.name}`, row.eventId)
      }
      return keys.map((key) => numbers.get(key) ?? 0)
    },

    async ensurePartitions(rows) {
      const missing = new Map<number, { range: number; week: string }>()
      for (const { bucket, timeMs } of rows) {
        const range = rangeOfProfile(bucket)
        // Weeks begin on Monday: the one of 1970-01-01, a Thursday, began three days before.
        const key = Math.floor((timeMs / DAY_MS + 3) / 7) * BUCKET_RANGES + range
        if (!partitions.has(key)) missing.set(key, { range, week: weekOf(timeMs) })
      }
      if (missing.size === 0) return
      const byServer = Map.groupBy(missing.values(), ({ range }) => servers.ofRange(range))
      for (const [sql, pairs] of byServer) await ensureEventPartitions(sql, pairs)
      for (const key of missing.keys()) partitions.add(key)
    },

    forgetPartitions() {
      partitions = new Set()
    },

    numbersOf(asked) {
      const found = new Set<number>()
      for (const { type, event } of asked) {
        const key = `${type}\u0000${event}`
        if (event === '' && type !== 'track') {
          for (const [known, number] of numbers) if (known.startsWith(key)) found.add(number)
        } else found.add(numbers.get(key) ?? 0)
      }
      return found
    },
  }
}
