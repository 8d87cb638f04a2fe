// segments changes: the entries and exits of one person, of a segment, or of one person and segment.
import type { FeedChange } from '../../api/feed/message.ts'
import type { Change } from '../../api/user-history.ts'
import { fail } from '../../runtime/errors.ts'
import { type Api, openApi, pagesOf, path } from '../api-client.ts'
import { wholeNumber, zonedInstant } from '../args.ts'
import type { CliIo } from '../io.ts'
import { paint, printable, table } from '../table.ts'
import { verb } from '../verbs.ts'
import { aboutSegment, personPath } from './subjects.ts'

const SHOWN = 50

export const changes = verb(
  '[SLUG]',
  {
    ...{ user: 'string', profile: 'boolean', from: 'string', to: 'string', op: 'string', reason: 'string' },
    ...{ limit: 'string', json: 'boolean' },
  },
  async ({ names: [slug = ''], options, io }) => {
    const { user = '', op, reason } = options
    const query = { from: zonedInstant(options.from, 'from'), to: zonedInstant(options.to, 'to'), op, reason }
    if (user === '' && slug === '')
      throw fail('invalid_request', 'say whose entries and exits, --user USER, or of which segment, SLUG')
    if (user !== '' && Object.values(query).some((one) => one !== undefined))
      throw fail('invalid_request', '--from, --to, --op and --reason are of a segment, not of a --user')
    const wanted = wholeNumber(options.limit, 'limit', { min: 1, max: Number.MAX_SAFE_INTEGER })
    const limit = wanted ?? (options.json ? Number.POSITIVE_INFINITY : SHOWN)
    const how = { limit, isJson: options.json === true }
    const api = openApi(io)
    if (user !== '')
      await show(ofPerson(api, personPath(user, options.profile), slug, limit + 1), COLUMNS, how, io)
    else
      await aboutSegment(api, slug, () =>
        show(ofSegment(api, slug, { query, limit: limit + 1 }), PEOPLE_COLUMNS, how, io),
      )
    return 0
  },
)

/** The API lists all of a person; those of one segment are picked out here, where `limit` is then the caller's. */
async function* ofPerson(api: Api, person: string, slug: string, limit: number): AsyncGenerator<Change> {
  const asked = slug === '' ? limit : Number.POSITIVE_INFINITY
  for await (const page of pagesOf<Change>(api, `${person}/segment-changes`, { limit: asked }))
    for (const row of page) if (slug === '' || row.segment === slug) yield row
}

async function* ofSegment(
  api: Api,
  slug: string,
  options: Parameters<typeof pagesOf>[2],
): AsyncGenerator<FeedChange> {
  for await (const page of pagesOf<FeedChange>(api, path`/api/v1/segments/${slug}/changes`, options))
    yield* page
}

type Column<Row> = { title: string; align?: 'right'; cell(row: Row, colours: boolean): string }

/** At most `limit` of them, newest first; there may be one more to tell that there are. */
async function show<Row>(
  rows: AsyncGenerator<Row>,
  columns: Column<Row>[],
  { limit, isJson }: { limit: number; isJson: boolean },
  io: CliIo,
): Promise<void> {
  const shown: Row[] = []
  let count = 0
  let isMore = false
  for await (const row of rows) {
    isMore = count === limit
    if (isMore) break
    count += 1
    if (isJson) io.write(`${JSON.stringify(row)}\n`)
    else shown.push(row)
  }
  if (isJson) return
  const cells = shown.map((row) => columns.map((column) => column.cell(row, io.colours)))
  io.write(shown.length === 0 ? 'No entry and no exit.\n' : table(columns, cells))
  if (isMore) io.write(`These are the newest ${limit}: --limit N shows more, --json all.\n`)
}

type Told = Pick<Change, 'op' | 'reason' | 'version' | 'effectiveAt' | 'recordedAt'>

const HAPPENED: Column<Told> = { title: 'HAPPENED AT', cell: (row) => row.effectiveAt }
const TOLD: Column<Told>[] = [
  {
    title: '',
    cell: ({ op }, colours) => (op === 'enter' ? paint(op, 'green', colours) : paint(op, 'red', colours)),
  },
  { title: 'REASON', cell: (row) => row.reason },
  { title: 'VERSION', align: 'right', cell: (row) => String(row.version) },
  { title: 'NOTICED AT', cell: (row) => row.recordedAt },
]
const COLUMNS: Column<Change>[] = [HAPPENED, { title: 'SEGMENT', cell: (row) => row.segment }, ...TOLD]
/** User ids last: they are as long as they like. */
const PEOPLE_COLUMNS: Column<FeedChange>[] = [
  HAPPENED,
  ...TOLD,
  { title: 'PROFILE', align: 'right', cell: (row) => String(row.profileId) },
  { title: 'USER', cell: (row) => printable(row.userId ?? '-') },
]
