// segments list, show and schema: what there is.
import pLimit from 'p-limit'
import type { Size } from '../../api/segment-members.ts'
import type { Segment } from '../../api/segment-shapes.ts'
import { type Api, openApi, path } from '../api-client.ts'
import type { CliIo } from '../io.ts'
import { formatCount, paint, table } from '../table.ts'
import { verb } from '../verbs.ts'
import { matchOf, ruleText } from './rule-words.ts'
import { aboutSegment } from './subjects.ts'

const SIZES_AT_ONCE = 4

export const list = verb('', { json: 'boolean' }, async ({ options, io }) => {
  const api = openApi(io)
  const { data } = await api.get<{ data: Segment[] }>('/api/v1/segments')
  const some = pLimit(SIZES_AT_ONCE)
  const rows = await Promise.all(
    data.map((segment) => some(async () => ({ ...segment, size: await sizeOf(api, segment.slug) }))),
  )
  if (options.json) for (const row of rows) io.write(`${JSON.stringify(row)}\n`)
  else if (rows.length === 0)
    io.write('There is no segment yet: millrace segments create SLUG --rule FILE makes one.\n')
  else
    io.write(
      table(
        [
          { title: 'SLUG' },
          { title: 'MEMBERS', align: 'right' },
          { title: 'VERSION', align: 'right' },
          { title: 'CREATED' },
          { title: 'NAME' },
        ],
        rows.map((row) => [
          row.slug,
          formatCount(row.size),
          String(row.version ?? '-'),
          row.createdAt,
          row.name,
        ]),
      ),
    )
  return 0
})

export async function sizeOf(api: Api, slug: string): Promise<number> {
  return (await api.get<Size>(path`/api/v1/segments/${slug}/size`)).size
}

export const show = verb(
  'SLUG',
  { 'rule-only': 'boolean', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const api = openApi(io)
    const segment = await aboutSegment(api, slug, () => api.get<Segment>(path`/api/v1/segments/${slug}`))
    if (options['rule-only']) {
      io.write(`${JSON.stringify(segment.rule, null, 2)}\n`)
      return 0
    }
    const size = await sizeOf(api, String(segment.segmentId))
    if (options.json) io.write(`${JSON.stringify({ ...segment, size })}\n`)
    else io.write(about(segment, size, io))
    return 0
  },
)

function about(segment: Segment, size: number, io: CliIo): string {
  const { slug, name, version, rule, createdAt, draft, schedule } = segment
  const facts = [
    ['Segment', slug],
    ['Name', name],
    ['State', stateOf(segment, io)],
    ['Members', formatCount(size)],
    ['Version', String(version ?? '-')],
    ['Created', createdAt],
    ...(draft === null ? [] : [['Draft', `version ${draft.version}: millrace segments draft ${slug}`]]),
    ...(schedule === null ? [] : [['Schedule', `${schedule.cron} in ${schedule.timeZone}`]]),
  ]
  const words = wordsOf(rule)
  return `${facts.map(([title = '', value = '']) => `${title.padEnd(8)}  ${value}\n`).join('')}\nWho is in:\n${words.replaceAll(/^(?=.)/gm, '  ')}\n\nThe rule as JSON: millrace segments show ${slug} --rule-only\n`
}

function stateOf({ state, archivedAt, run }: Segment, io: CliIo): string {
  if (archivedAt !== null) return `archived since ${archivedAt}: nobody is in it`
  if (state === 'draft') return 'only a draft: nobody is in it'
  if (state === 'live') return paint('live', 'green', io.colours)
  return `live; everybody is looked at again, ${Math.floor((run?.share ?? 0) * 100)} % are done`
}

function wordsOf(rule: Segment['rule']): string {
  const match = matchOf(rule)
  return match === undefined ? 'a rule that this version of the command line does not know' : ruleText(match)
}

export const schema = verb('', { json: 'boolean' }, async ({ io }) => {
  const document = await openApi(io).get<Record<string, unknown>>('/api/v1/rule-schema')
  io.write(`${JSON.stringify(document, null, 2)}\n`)
  return 0
})
