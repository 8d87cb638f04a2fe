// millrace metrics: named values of a person that rules compare, over the HTTP API: make, change, look, and what they are of
// somebody.
import type { Cuts } from '../../api/metric-cuts.ts'
import type { ChangedMetric, Metric } from '../../api/metrics.ts'
import type { MetricValues } from '../../api/user-metrics.ts'
import { type Api, openApi, path } from '../api-client.ts'
import type { CliIo } from '../io.ts'
import { readJson } from '../segments/rule-file.ts'
import { personPath } from '../segments/subjects.ts'
import { suggesting } from '../suggest.ts'
import { counted, formatCount, table } from '../table.ts'
import { runVerb, type Verb, verb } from '../verbs.ts'

const list = verb('', { json: 'boolean' }, async ({ options, io }) => {
  const { data } = await openApi(io).get<{ data: Metric[] }>('/api/v1/metrics')
  if (options.json) for (const row of data) io.write(`${JSON.stringify(row)}\n`)
  else if (data.length === 0)
    io.write('There is no metric yet: millrace metrics create SLUG --definition FILE makes one.\n')
  else
    io.write(
      table(
        [{ title: 'SLUG' }, { title: 'VERSION', align: 'right' }, { title: 'CREATED' }, { title: 'NAME' }],
        data.map((row) => [row.slug, String(row.version), row.createdAt, row.name]),
      ),
    )
  return 0
})

const show = verb(
  'SLUG',
  { 'definition-only': 'boolean', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const api = openApi(io)
    const metric = await aboutMetric(api, slug, () => api.get<Metric>(path`/api/v1/metrics/${slug}`))
    if (options.json) io.write(`${JSON.stringify(metric)}\n`)
    else if (options['definition-only']) io.write(`${JSON.stringify(metric.definition, null, 2)}\n`)
    else {
      const { name, version, createdAt, archivedAt, definition } = metric
      const state = archivedAt === null ? 'answered for everybody' : `archived since ${archivedAt}`
      io.write(
        `${slug}: ${name}\nVersion ${version}, made ${createdAt}, ${state}\n${JSON.stringify(definition)}\n`,
      )
    }
    return 0
  },
)

const create = verb(
  'SLUG',
  { name: 'string', definition: 'string', note: 'string', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const definition = await readJson(options.definition, { option: '--definition', noun: 'definition' }, io)
    const { name = slug, note } = options
    const body = { slug, name, definition, ...noteOf(note) }
    const made = await openApi(io).send<Metric>('POST', '/api/v1/metrics', body)
    io.write(
      options.json
        ? `${JSON.stringify(made)}\n`
        : `${slug} is there. What it is of somebody: millrace metrics values USER\n`,
    )
    return 0
  },
)

const edit = verb(
  'SLUG',
  { definition: 'string', note: 'string', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const definition = await readJson(options.definition, { option: '--definition', noun: 'definition' }, io)
    const api = openApi(io)
    const { before, changed } = await aboutMetric(api, slug, async () => ({
      before: await api.get<Metric>(path`/api/v1/metrics/${slug}`),
      changed: await api.send<ChangedMetric>('PUT', path`/api/v1/metrics/${slug}/definition`, {
        definition,
        ...noteOf(options.note),
      }),
    }))
    if (options.json) io.write(`${JSON.stringify(changed)}\n`)
    else if (before.version === changed.version)
      io.write(`${slug} is defined so already: nothing was changed.\n`)
    else io.write(`Version ${changed.version} of ${slug} counts from now on. ${movedBy(changed)}\n`)
    return 0
  },
)

function movedBy({ segments }: ChangedMetric): string {
  if (segments.length === 0) return 'No live segment names it.'
  return `Everybody is looked at again for ${counted(segments.length, 'segment')}: ${segments.join(', ')}.`
}

const archive = verb(
  'SLUG',
  { yes: 'boolean', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const api = openApi(io)
    const whole = path`/api/v1/metrics/${slug}`
    const before = await aboutMetric(api, slug, () => api.get<Metric>(whole))
    const isDone = options.yes === true && before.archivedAt === null
    const metric = isDone ? await api.send<Metric>('DELETE', whole) : before
    if (options.json) io.write(`${JSON.stringify(metric)}\n`)
    else if (isDone) io.write(`${slug} is archived; its versions are kept.\n`)
    else if (before.archivedAt !== null) io.write(`${slug} was archived before: nothing was done.\n`)
    else io.write(`No rule could name ${slug} from then on. Nothing was done: add --yes to archive it.\n`)
    return 0
  },
)

const cuts = verb(
  'SLUG',
  { keep: 'boolean', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const api = openApi(io)
    const place = path`/api/v1/metrics/${slug}/cuts`
    const found = await aboutMetric(api, slug, () =>
      options.keep ? api.send<Cuts>('POST', place) : api.get<Cuts>(place),
    )
    io.write(options.json ? `${JSON.stringify(found)}\n` : cutsText(found))
    return 0
  },
)

/** Each tenth is enough to look at; --json has all 99. */
function cutsText({ metric, kept, cuts: now }: Cuts): string {
  const later = kept
    ? `They are worked out now and every hour: millrace metrics cuts ${metric} shows them.\n`
    : `millrace metrics cuts ${metric} --keep has them worked out every hour, for rules with "quantile".\n`
  if (now === null) return `There are no cut points of ${metric} yet. ${later}`
  const { version, asOf, people, points } = now
  const rows = points.flatMap((point, i) => ((i + 1) % 10 === 0 ? [[`${i + 1} %`, point]] : []))
  const head = `Cut points ${version} of ${metric}, of ${formatCount(people)} people as of ${asOf}\n`
  return `${head}${table(
    [
      { title: 'BELOW', align: 'right' },
      { title: 'VALUE', align: 'right' },
    ],
    rows,
  )}`
}

const values = verb(
  'USER',
  { profile: 'boolean', at: 'string', json: 'boolean' },
  async ({ names: [person = ''], options, io }) => {
    const { profile, at, json } = options
    const asked = at === undefined ? '' : `?at=${encodeURIComponent(at)}`
    const found = await openApi(io).get<MetricValues>(`${personPath(person, profile)}/metrics${asked}`)
    if (json) io.write(`${JSON.stringify(found)}\n`)
    else if (found.data.length === 0)
      io.write('There is no metric yet: millrace metrics create SLUG --definition FILE makes one.\n')
    else
      io.write(
        table(
          [{ title: 'METRIC' }, { title: 'VALUE', align: 'right' }, { title: 'EVENTS', align: 'right' }],
          found.data.map((row) => [row.metric, valueText(row.value), formatCount(row.events)]),
        ),
      )
    return 0
  },
)

function valueText(value: unknown): string {
  if (value === null || value === undefined) return '-'
  return typeof value === 'string' ? value : JSON.stringify(value)
}

export const METRIC_VERBS: Record<string, Verb> = { list, show, create, edit, archive, cuts, values }

export function run(args: string[], io: CliIo): Promise<number> {
  return runVerb('metrics', METRIC_VERBS, args, io)
}

function aboutMetric<T>(api: Api, slug: string, work: () => Promise<T>): Promise<T> {
  const known = async () => {
    const { data } = await api.get<{ data: Metric[] }>('/api/v1/metrics')
    return data.map((metric) => metric.slug)
  }
  return suggesting(slug, { field: 'metric', known, lists: 'millrace metrics' }, work)
}

function noteOf(note: string | undefined) {
  return note === undefined ? {} : { note }
}
