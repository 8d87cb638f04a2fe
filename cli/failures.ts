// Which failures a command means (failed events and dead jobs, by stage, code, id and age), and reading them. Used by the
// commands failed and replay.

import { listFailedEvents, type StoredFailedEvent } from '../store/failed-events.ts'
import { recordDeadJobs } from '../workers/dead-jobs.ts'
import { type Parsed, pastTime, wholeNumber } from './args.ts'
import type { System } from './connect.ts'
import { table } from './table.ts'

const PAGE = 200
const MAX_ID = Number.MAX_SAFE_INTEGER

export const FAILURE_OPTIONS = {
  stage: 'string',
  code: 'string',
  id: 'string',
  since: 'string',
  limit: 'string',
} as const
export type Wanted = { stage?: string; code?: string; failedIds?: number[]; since?: Date; limit: number }

/** Throws `invalid_request` naming the option that makes no sense. */
export function readWanted(options: Parsed<typeof FAILURE_OPTIONS>['options'], defaultLimit: number): Wanted {
  const id = wholeNumber(options.id, 'id', { min: 1, max: MAX_ID })
  const since = pastTime(options.since, 'since', Date.now())
  return {
    ...(options.stage === undefined ? {} : { stage: options.stage }),
    ...(options.code === undefined ? {} : { code: options.code }),
    ...(id === undefined ? {} : { failedIds: [id] }),
    ...(since === undefined ? {} : { since }),
    limit: wholeNumber(options.limit, 'limit', { min: 1, max: MAX_ID }) ?? defaultLimit,
  }
}

/** Open failures, oldest first, a page at a time; dead jobs whose recording failed are recorded first. */
export async function* openFailures(system: System, wanted: Wanted): AsyncGenerator<StoredFailedEvent> {
  await recordDeadJobs({ ...system, ...system.config })
  let left = wanted.limit
  let afterId = 0
  while (left > 0) {
    const page = await listFailedEvents(system.sql, { ...wanted, afterId, limit: Math.min(left, PAGE) })
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    afterId = last.failedId
    left -= page.length
  }
}

/** A table of how many there are by stage and code, and their number; the text is empty when there are none. */
export async function countByReason(
  system: System,
  wanted: Wanted,
): Promise<{ total: number; text: string }> {
  const counts = new Map<string, { row: StoredFailedEvent; count: number; last: Date }>()
  let total = 0
  for await (const row of openFailures(system, wanted)) {
    total++
    const key = `${row.stage} ${row.code} ${row.sqlstate ?? ''}`
    const known = counts.get(key)
    if (known === undefined) counts.set(key, { row, count: 1, last: row.failedAt })
    else Object.assign(known, { count: known.count + 1, last: row.failedAt })
  }
  const cells = [...counts.values()].map(({ row, count, last }) => [
    row.stage,
    row.code,
    String(count),
    last.toISOString(),
    row.reason.slice(0, 100),
  ])
  const columns = [
    { title: 'STAGE' },
    { title: 'CODE' },
    { title: 'COUNT', align: 'right' as const },
    { title: 'LAST' },
    { title: 'FIRST REASON' },
  ]
  return { total, text: total === 0 ? '' : table(columns, cells) }
}
