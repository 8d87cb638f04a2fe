// segments preview: how many a rule would find. In a terminal the estimate is shown while it becomes sharper; the API
// looks at the same people again with each larger budget, so the looks before the last cost a third of it.
import type { Preview } from '../../api/segment-preview.ts'
import { type Api, openApi } from '../api-client.ts'
import { wholeNumber } from '../args.ts'
import type { CliIo } from '../io.ts'
import { counted, formatCount } from '../table.ts'
import { verb } from '../verbs.ts'
import { readRule } from './rule-file.ts'

const MAX_SECONDS = 20
/** Each look takes four times as long: the interval halves. */
const FIRST_MS = 300
const GROWTH = 4
const ERASE_LINE = `\r${String.fromCharCode(27)}[2K`

export const preview = verb(
  '',
  { rule: 'string', seconds: 'string', json: 'boolean' },
  async ({ options, io }) => {
    const seconds = wholeNumber(options.seconds, 'seconds', { min: 1, max: MAX_SECONDS }) ?? MAX_SECONDS
    const rule = await readRule(options.rule, io)
    const isLive = io.isTerminal && options.json !== true
    const found = await look(openApi(io), rule, { maxMs: seconds * 1000, isLive, io })
    io.write(options.json ? `${JSON.stringify(found)}\n` : `${isLive ? ERASE_LINE : ''}${textOf(found)}\n`)
    return 0
  },
)

async function look(
  api: Api,
  rule: unknown,
  { maxMs, isLive, io }: { maxMs: number; isLive: boolean; io: CliIo },
): Promise<Preview> {
  for (let budgetMs = isLive ? Math.min(FIRST_MS, maxMs) : maxMs; ; ) {
    const found = await api.send<Preview>('POST', '/api/v1/segments/preview', { rule, budgetMs })
    if (found.complete || budgetMs === maxMs) return found
    io.write(`${ERASE_LINE}${`${textOf(found)} …`.slice(0, Math.max(20, io.columns - 1))}`)
    budgetMs = Math.min(maxMs, budgetMs * GROWTH)
  }
}

/** `12 of 120 profiles fit: exact, in 8 ms`, or the estimate with its interval. */
export function textOf({ members, of, complete, estimate, tookMs }: Preview): string {
  const took = tookMs < 1000 ? `${tookMs} ms` : `${(tookMs / 1000).toFixed(1)} s`
  if (complete) return `${formatCount(members)} of ${counted(of, 'profile')} fit: exact, in ${took}`
  const interval = `${formatCount(estimate.low)} to ${formatCount(estimate.high)} with 95 % certainty`
  return `about ${counted(estimate.members, 'profile')} fit, ${interval}: ${formatCount(of)} looked at in ${took}`
}
