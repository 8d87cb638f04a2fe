// segments members: who is in a segment, or was, page by page; and all of them as a CSV file.
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { MemberRow } from '../../api/segment-members.ts'
import { describeError, errorCodeOf, fail, MillraceError } from '../../runtime/errors.ts'
import { type Api, openApi, pagesOf, path } from '../api-client.ts'
import { wholeNumber, zonedInstant } from '../args.ts'
import { createProgress } from '../demo/progress.ts'
import type { CliIo } from '../io.ts'
import { counted, formatCount, printable } from '../table.ts'
import { verb } from '../verbs.ts'
import { sizeOf } from './look.ts'
import { aboutSegment } from './subjects.ts'

const SHOWN = 50
const NEWLINE = 10

/** As of now, unless one of the two says when. */
type Asked = { slug: string; knownAt: string | undefined; at: string | undefined; limit: number }

const isOfNow = ({ knownAt, at }: Asked) => knownAt === undefined && at === undefined

export const members = verb(
  'SLUG',
  { 'known-at': 'string', at: 'string', csv: 'string', limit: 'string', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const { csv } = options
    const wanted = wholeNumber(options.limit, 'limit', { min: 1, max: Number.MAX_SAFE_INTEGER })
    const isAll = options.json === true || csv !== undefined
    const limit = wanted ?? (isAll ? Number.POSITIVE_INFINITY : SHOWN)
    const asked: Asked = {
      ...{ slug, limit, at: zonedInstant(options.at, 'at') },
      knownAt: zonedInstant(options['known-at'], 'known-at'),
    }
    if (csv !== undefined && options.json) throw fail('invalid_request', 'either --csv or --json')
    const api = openApi(io)
    return aboutSegment(api, slug, async () => {
      if (csv === '-') await copyTo(csvOf(api, asked), io)
      else if (csv !== undefined) await writeCsv(api, asked, csv, io)
      else if (options.json) await copyTo(jsonOf(api, asked), io)
      else await show(api, asked, io)
      return 0
    })
  },
)

function membersOf(api: Api, { slug, knownAt, at, limit }: Asked): AsyncGenerator<MemberRow[]> {
  return pagesOf<MemberRow>(api, path`/api/v1/segments/${slug}/members`, { query: { knownAt, at }, limit })
}

/** User ids last: they are as long as they like. */
async function show(api: Api, asked: Asked, io: CliIo): Promise<void> {
  let shown = 0
  for await (const page of membersOf(api, asked)) {
    if (shown === 0 && page.length > 0)
      io.write(`${'PROFILE'.padStart(16)}  ${'ENTERED AT'.padEnd(24)}  USER\n`)
    for (const { profileId, userId, enteredAt } of page)
      io.write(`${String(profileId).padStart(16)}  ${enteredAt.padEnd(24)}  ${printable(userId ?? '-')}\n`)
    shown += page.length
    await io.written()
  }
  if (shown === 0) io.write('Nobody.\n')
  if (shown < asked.limit) return
  const size = isOfNow(asked) ? await sizeOf(api, asked.slug) : undefined
  if (size === undefined || size > shown)
    io.write(
      `These are the first ${formatCount(shown)}${size === undefined ? '' : ` of ${formatCount(size)}`}: --limit N shows more, --csv FILE and --json all.\n`,
    )
}

async function* jsonOf(api: Api, asked: Asked): AsyncGenerator<string> {
  for await (const page of membersOf(api, asked)) yield page.map((row) => `${JSON.stringify(row)}\n`).join('')
}

/** All of now are one answer of the API; of another instant, or the first so many, they are put together here. */
async function* csvOf(api: Api, asked: Asked): AsyncGenerator<Uint8Array> {
  if (isOfNow(asked) && asked.limit === Number.POSITIVE_INFINITY) {
    yield* api.stream(path`/api/v1/segments/${asked.slug}/members.csv`)
    return
  }
  yield Buffer.from('profile_id,user_id,entered_at\r\n')
  for await (const page of membersOf(api, asked)) yield Buffer.from(page.map(csvLine).join(''))
}

/** As the API writes them. */
function csvLine({ profileId, userId, enteredAt }: MemberRow): string {
  const text = userId === null ? '' : `"${userId.replaceAll('"', '""')}"`
  return `${profileId},${text},${enteredAt}\r\n`
}

async function copyTo(pieces: AsyncIterable<string | Uint8Array>, io: CliIo): Promise<void> {
  const decoder = new TextDecoder()
  for await (const piece of pieces) {
    io.write(typeof piece === 'string' ? piece : decoder.decode(piece, { stream: true }))
    await io.written()
  }
}

/** Under its name there is only ever a whole file, readable for its owner: it holds people's ids. */
async function writeCsv(api: Api, asked: Asked, file: string, io: CliIo): Promise<void> {
  // How many there were at an instant is known only when all have come.
  const size = isOfNow(asked) ? await sizeOf(api, asked.slug) : 0
  const total = Math.min(size, asked.limit)
  const stages = total === 0 ? [] : [{ name: 'members', total }]
  const progress = createProgress({
    ...io,
    write: io.isTerminal ? io.write : () => {},
    now: Date.now,
    stages,
  })
  const unfinished = `${file}.unfinished`
  let lines = 0
  async function* counting() {
    for await (const piece of csvOf(api, asked)) {
      for (const byte of piece) if (byte === NEWLINE) lines += 1
      progress.set('members', Math.max(0, lines - 1))
      yield piece
    }
  }
  try {
    await pipeline(Readable.from(counting()), createWriteStream(unfinished, { mode: 0o600 }))
    await rename(unfinished, file)
  } catch (error) {
    await rm(unfinished, { force: true })
    if (error instanceof MillraceError) throw error
    const why = errorCodeOf(error) || describeError(error)
    throw fail('internal', `${file} could not be written: ${why}`, { cause: error })
  }
  if (stages.length > 0) progress.finish()
  io.write(`${counted(Math.max(0, lines - 1), 'member')} in ${file}\n`)
}
