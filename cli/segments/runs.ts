// segments run, runs and schedule: everybody looked at again, now or at set times, and what came of it.
import type { Run, Segment } from '../../api/segment-shapes.ts'
import { type Api, openApi, pagesOf, path } from '../api-client.ts'
import { wholeNumber } from '../args.ts'
import { createProgress } from '../demo/progress.ts'
import type { CliIo } from '../io.ts'
import { counted, formatCount, shortAge, table } from '../table.ts'
import { verb } from '../verbs.ts'
import { aboutSegment } from './subjects.ts'

const LOOK_MS = 500
const SHOWN = 20

export const run = verb('SLUG', { json: 'boolean' }, async ({ names: [slug = ''], options, io }) => {
  const api = openApi(io)
  const begun = await aboutSegment(api, slug, () =>
    api.send<Run>('POST', path`/api/v1/segments/${slug}/runs`),
  )
  const ended = await watch(api, slug, begun, io, options.json === true)
  if (options.json) io.write(`${JSON.stringify(ended)}\n`)
  else if (ended.state === 'done')
    io.write(
      `${counted(ended.evaluated, 'profile')} looked at in ${shortAge(ended.tookMs)}: ${formatCount(ended.entered)} entered, ${formatCount(ended.exited)} left.\n`,
    )
  else io.write('Another change of the segment has taken this run into its own.\n')
  return 0
})

/** Follows a run to its end, with a bar. */
async function watch(api: Api, slug: string, begun: Run, io: CliIo, isQuiet: boolean): Promise<Run> {
  const progress = createProgress({
    ...io,
    write: io.isTerminal && !isQuiet ? io.write : () => {},
    now: Date.now,
    stages: [{ name: 'per cent', total: 100 }],
  })
  for (let last = begun; ; ) {
    progress.set('per cent', Math.floor(last.share * 100))
    if (last.state === 'done' || last.state === 'superseded') {
      progress.finish()
      return last
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    const { data } = await api.get<{ data: Run[] }>(path`/api/v1/segments/${slug}/runs`)
    last = data.find((one) => one.runId === begun.runId) ?? last
  }
}

export const runs = verb(
  'SLUG',
  { limit: 'string', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const limit = wholeNumber(options.limit, 'limit', { min: 1, max: Number.MAX_SAFE_INTEGER }) ?? SHOWN
    const api = openApi(io)
    const rows: Run[] = []
    await aboutSegment(api, slug, async () => {
      const pages = pagesOf<Run>(api, path`/api/v1/segments/${slug}/runs`, { limit })
      for await (const page of pages) rows.push(...page)
    })
    if (options.json) for (const row of rows) io.write(`${JSON.stringify(row)}\n`)
    else if (rows.length === 0) io.write('There was none yet.\n')
    else io.write(tableOf(rows))
    return 0
  },
)

function tableOf(rows: Run[]): string {
  return table(
    [
      { title: 'RUN', align: 'right' },
      { title: 'VERSION', align: 'right' },
      { title: 'REASON' },
      { title: 'STATE' },
      { title: 'PROFILES', align: 'right' },
      { title: 'ENTERED', align: 'right' },
      { title: 'LEFT', align: 'right' },
      { title: 'TOOK', align: 'right' },
      { title: 'BEGUN' },
    ],
    rows.map((row) => [
      ...[String(row.runId), String(row.version), row.reason],
      row.state === 'running' ? `${Math.floor(row.share * 100)} %` : row.state,
      ...[formatCount(row.evaluated), formatCount(row.entered), formatCount(row.exited)],
      ...[shortAge(row.tookMs), row.createdAt],
    ]),
  )
}

export const schedule = verb(
  'SLUG [CRON]',
  { 'time-zone': 'string', json: 'boolean' },
  async ({ names: [slug = '', cron = ''], options, io }) => {
    const api = openApi(io)
    const place = path`/api/v1/segments/${slug}/schedule`
    const set = await aboutSegment(api, slug, () =>
      cron === ''
        ? api.send<Pick<Segment, 'slug' | 'schedule'>>('DELETE', place)
        : api.send<Pick<Segment, 'slug' | 'schedule'>>('PUT', place, {
            ...{ cron, timeZone: options['time-zone'] ?? 'UTC' },
          }),
    )
    if (options.json) io.write(`${JSON.stringify(set)}\n`)
    else if (set.schedule === null) io.write(`${set.slug} has no schedule any more.\n`)
    else io.write(`${set.slug} is run at ${set.schedule.cron} in ${set.schedule.timeZone}.\n`)
    return 0
  },
)
