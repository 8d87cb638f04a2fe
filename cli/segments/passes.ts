// segments passes: what the segment pool has looked at, pass by pass.
import type { Pass } from '../../api/segment-passes.ts'
import { openApi, pagesOf } from '../api-client.ts'
import { wholeNumber } from '../args.ts'
import { formatCount, shortAge, table } from '../table.ts'
import { verb } from '../verbs.ts'

const SHOWN = 20

export const passes = verb(
  '',
  { shard: 'string', limit: 'string', json: 'boolean' },
  async ({ options, io }) => {
    const limit = wholeNumber(options.limit, 'limit', { min: 1, max: Number.MAX_SAFE_INTEGER }) ?? SHOWN
    const shard = wholeNumber(options.shard, 'shard', { min: 0, max: 1023 })
    const api = openApi(io)
    const rows: Pass[] = []
    for await (const page of pagesOf<Pass>(api, '/api/v1/segment-passes', { query: { shard }, limit }))
      rows.push(...page)
    if (options.json) for (const row of rows) io.write(`${JSON.stringify(row)}\n`)
    else if (rows.length === 0) io.write('There was none in the last two days.\n')
    else io.write(tableOf(rows))
    return 0
  },
)

function tableOf(rows: Pass[]): string {
  return table(
    [
      { title: 'AT' },
      { title: 'SHARDS' },
      { title: 'REASONS' },
      { title: 'PROFILES', align: 'right' },
      { title: 'SEGMENTS', align: 'right' },
      { title: 'DECIDED', align: 'right' },
      { title: 'LEFT OUT', align: 'right' },
      { title: 'ENTERED', align: 'right' },
      { title: 'LEFT', align: 'right' },
      { title: 'TOOK', align: 'right' },
      { title: 'LAG', align: 'right' },
    ],
    rows.map((row) => [
      ...[row.asOf, row.shards.join(' '), row.reasons.join(' ')],
      ...[row.profiles, row.segments, row.pairsEvaluated, row.pairsSkipped, row.entered, row.exited].map(
        formatCount,
      ),
      `${row.tookMs} ms`,
      row.lagMs === null ? '-' : shortAge(row.lagMs),
    ]),
  )
}
