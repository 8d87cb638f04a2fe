// segments preview: how many a rule would find. In a terminal the estimate is shown while it becomes sharper; each request goes
// on from the one before, so nobody is looked at twice.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Preview } from '../../api/segment-preview.ts'
import { MillraceError } from '../../runtime/errors.ts'
import { type Api, openApi } from '../api-client.ts'
import { wholeNumber } from '../args.ts'
import { createProgress } from '../demo/progress.ts'
import type { CliIo } from '../io.ts'
import { counted, formatCount } from '../table.ts'
import { verb } from '../verbs.ts'
import { readRule } from './rule-file.ts'

const MAX_SECONDS = 20
/** How often the estimate is shown anew. */
const LOOK_MS = 500
/** Without anybody who looks on, a request may take this long. */
const LONG_LOOK_MS = 5_000
const LEAST_MS = 50
/** A count that goes on for minutes outlives a restart of the API. */
const PATIENCE = 10
const ERASE_LINE = `\r${String.fromCharCode(27)}[2K`

export const preview = verb(
  '',
  { rule: 'string', seconds: 'string', exact: 'boolean', json: 'boolean' },
  async ({ options, io }) => {
    const seconds = wholeNumber(options.seconds, 'seconds', { min: 1, max: MAX_SECONDS }) ?? MAX_SECONDS
    const rule = await readRule(options.rule, io)
    const isLive = io.isTerminal && options.json !== true
    const maxMs = options.exact ? Number.POSITIVE_INFINITY : seconds * 1000
    const shown = isLive ? (options.exact ? bar(io) : line(io)) : SILENT
    const found = await follow(openApi(io), rule, { maxMs, lookMs: isLive ? LOOK_MS : LONG_LOOK_MS, shown })
    shown.end()
    io.write(options.json ? `${JSON.stringify(found)}\n` : `${textOf(found)}\n`)
    return 0
  },
)

type Shown = { set(found: Preview): void; end(): void }
const SILENT: Shown = { set: () => {}, end: () => {} }

/** The estimate on one line, redrawn in place. */
function line({ write, columns }: CliIo): Shown {
  return {
    set(found) {
      if (!found.complete) write(`${ERASE_LINE}${`${textOf(found)} …`.slice(0, Math.max(20, columns - 1))}`)
    },
    end: () => write(ERASE_LINE),
  }
}

/** How much of everybody was looked at, with the estimate below. */
function bar(io: CliIo): Shown {
  const stages = [{ name: 'per cent', total: 100 }]
  const progress = createProgress({ ...io, now: Date.now, stages })
  return {
    set(found) {
      progress.note(textOf(found))
      progress.set('per cent', Math.floor(found.share * 100))
    },
    end: () => progress.finish(),
  }
}

/** Resolves to the last answer: exact, or when the time is over. Its `tookMs` is that of all together. */
async function follow(
  api: Api,
  rule: unknown,
  { maxMs, lookMs, shown }: { maxMs: number; lookMs: number; shown: Shown },
): Promise<Preview> {
  let tookMs = 0
  for (let cursor: string | undefined; ; ) {
    const budgetMs = Math.max(LEAST_MS, Math.min(lookMs, maxMs - tookMs))
    const found = await look(api, { rule, budgetMs, cursor })
    tookMs += found.tookMs
    const sofar = { ...found, tookMs }
    shown.set(sofar)
    if (found.nextCursor === null || tookMs >= maxMs) return sofar
    cursor = found.nextCursor
  }
}

/** Asks again what was begun when the API is busy, or away for a moment: the cursor stands for all that was counted. */
async function look(api: Api, body: { rule: unknown; budgetMs: number; cursor: string | undefined }) {
  for (let left = body.cursor === undefined ? 0 : PATIENCE; ; left--) {
    try {
      return await api.send<Preview>('POST', '/api/v1/segments/preview', body)
    } catch (error) {
      const isForNow =
        error instanceof MillraceError && (error.code === 'overloaded' || error.code === 'unavailable')
      if (!isForNow || left === 0) throw error
      await sleep((error.retryAfterS ?? 1) * 1000)
    }
  }
}

/** `12 of 120 profiles fit: exact, in 8 ms`, or the estimate with its interval. */
export function textOf({ members, of, complete, estimate, tookMs }: Preview): string {
  const took = tookMs < 1000 ? `${tookMs} ms` : `${(tookMs / 1000).toFixed(1)} s`
  if (complete) return `${formatCount(members)} of ${counted(of, 'profile')} fit: exact, in ${took}`
  const interval = `${formatCount(estimate.low)} to ${formatCount(estimate.high)} with 95 % certainty`
  return `about ${counted(estimate.members, 'profile')} fit, ${interval}: ${formatCount(of)} looked at in ${took}`
}
