// millrace lists: lists of user ids that rules ask about, over the HTTP API, which reads the CSV and hands people on.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { List, UploadedList } from '../../api/lists.ts'
import { fail } from '../../runtime/errors.ts'
import { type Api, openApi, path } from '../api-client.ts'
import { createProgress } from '../demo/progress.ts'
import type { CliIo } from '../io.ts'
import { unreadable } from '../segments/rule-file.ts'
import { suggesting } from '../suggest.ts'
import { counted, formatCount, table } from '../table.ts'
import { runVerb, type Verb, verb } from '../verbs.ts'

const KIB = 1024

const list = verb('', { json: 'boolean' }, async ({ options, io }) => {
  const { data } = await openApi(io).get<{ data: List[] }>('/api/v1/lists')
  if (options.json) for (const row of data) io.write(`${JSON.stringify(row)}\n`)
  else if (data.length === 0)
    io.write('There is no list yet: millrace lists upload SLUG FILE.csv makes one.\n')
  else io.write(tableOf(data))
  return 0
})

const show = verb('SLUG', { json: 'boolean' }, async ({ names: [slug = ''], options, io }) => {
  const found = await readList(openApi(io), slug)
  io.write(options.json ? `${JSON.stringify(found)}\n` : tableOf([found]))
  return 0
})

const upload = verb(
  'SLUG FILE',
  { json: 'boolean' },
  async ({ names: [slug = '', file = ''], options, io }) => {
    const api = openApi(io)
    const bytes = file === '-' ? undefined : await sizeOf(file)
    const total = Math.ceil((bytes ?? 0) / KIB)
    const isShown = io.isTerminal && options.json !== true && total > 0
    const progress = createProgress({ ...io, now: Date.now, stages: [{ name: 'KiB', total }] })
    const onBytes = (sent: number) => {
      if (isShown) progress.set('KiB', Math.ceil(sent / KIB))
    }
    const chunks = counting(file === '-' ? io.input() : createReadStream(file), file, onBytes)
    const done = await api.upload<UploadedList>(path`/api/v1/lists/${slug}`, {
      type: 'text/csv',
      chunks,
      bytes,
    })
    if (isShown) progress.finish()
    io.write(options.json ? `${JSON.stringify(done)}\n` : textOf(done))
    return 0
  },
)

const remove = verb(
  'SLUG',
  { yes: 'boolean', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const api = openApi(io)
    const found = await readList(api, slug)
    if (!options.yes) {
      io.write(
        options.json
          ? `${JSON.stringify(found)}\n`
          : `${counted(found.count, 'user id')} of ${slug} would go. Nothing was done: add --yes to do it.\n`,
      )
      return 0
    }
    const done = await api.send<{ slug: string; deleted: boolean }>('DELETE', path`/api/v1/lists/${slug}`)
    io.write(options.json ? `${JSON.stringify(done)}\n` : `${slug} is deleted.\n`)
    return 0
  },
)

export const LIST_VERBS: Record<string, Verb> = { list, show, upload, delete: remove }

export function run(args: string[], io: CliIo): Promise<number> {
  return runVerb('lists', LIST_VERBS, args, io)
}

function readList(api: Api, slug: string): Promise<List> {
  const known = async () => {
    const { data } = await api.get<{ data: List[] }>('/api/v1/lists')
    return data.map((one) => one.slug)
  }
  return suggesting(slug, { field: 'slug', known, lists: 'millrace lists' }, () =>
    api.get<List>(path`/api/v1/lists/${slug}`),
  )
}

async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch((error: unknown) => {
    throw unreadable(file, error)
  })
  if (!found.isFile()) throw fail('not_found', `${file} is no file; for a pipe, say - and redirect it`)
  return found.size
}

async function* counting(
  input: AsyncIterable<Uint8Array>,
  file: string,
  onBytes: (sent: number) => void,
): AsyncGenerator<Uint8Array> {
  let sent = 0
  try {
    for await (const piece of input) {
      yield piece
      sent += piece.length
      onBytes(sent)
    }
  } catch (error) {
    throw unreadable(file, error)
  }
}

function textOf({ slug, count, version, rows, skipped, runId }: UploadedList): string {
  const repeats = rows - count
  const notes = [
    ...(repeats > 0 ? [`${counted(repeats, 'row')} said an id again`] : []),
    ...(skipped > 0 ? [`${counted(skipped, 'row')} had none`] : []),
  ]
  const aside = notes.length === 0 ? '' : ` (${notes.join(', ')})`
  const then = runId === null ? '' : 'Everybody is looked at again for the segments that ask about it.\n'
  return `${slug}: ${counted(count, 'user id')}${aside}, version ${version}\n${then}`
}

function tableOf(lists: List[]): string {
  return table(
    [
      { title: 'SLUG' },
      { title: 'USER IDS', align: 'right' },
      { title: 'VERSION', align: 'right' },
      { title: 'CHANGED AT' },
    ],
    lists.map((one) => [one.slug, formatCount(one.count), String(one.version), one.updatedAt]),
  )
}
