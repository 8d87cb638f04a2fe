// segments user and changes: what became of one person.
import type { Change, Membership } from '../../api/user-history.ts'
import { fail } from '../../runtime/errors.ts'
import { type Api, openApi, pagesOf } from '../api-client.ts'
import { wholeNumber } from '../args.ts'
import { paint, table } from '../table.ts'
import { verb } from '../verbs.ts'
import { personPath } from './subjects.ts'

const SHOWN = 50

export const user = verb(
  'USER',
  { profile: 'boolean', json: 'boolean' },
  async ({ names: [person = ''], options, io }) => {
    const { data } = await openApi(io).get<{ data: Membership[] }>(
      `${personPath(person, options.profile)}/segments`,
    )
    if (options.json) for (const row of data) io.write(`${JSON.stringify(row)}\n`)
    else if (data.length === 0) io.write(`${person} is in no segment.\n`)
    else
      io.write(
        table(
          [
            { title: 'SEGMENT' },
            { title: 'VERSION', align: 'right' },
            { title: 'ENTERED AT' },
            { title: 'NAME' },
          ],
          data.map((row) => [row.slug, String(row.version), row.enteredAt, row.name]),
        ),
      )
    return 0
  },
)

export const changes = verb(
  '[SLUG]',
  { user: 'string', profile: 'boolean', limit: 'string', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    if (options.user === undefined || options.user === '')
      throw fail('invalid_request', 'say whose entries and exits: --user USER')
    const wanted = wholeNumber(options.limit, 'limit', { min: 1, max: Number.MAX_SAFE_INTEGER })
    const limit = wanted ?? (options.json ? Number.POSITIVE_INFINITY : SHOWN)
    const api = openApi(io)
    const shown: Change[] = []
    let count = 0
    let isMore = false
    for await (const row of changesOf(api, personPath(options.user, options.profile), slug, limit + 1)) {
      isMore = count === limit
      if (isMore) break
      count += 1
      if (options.json) io.write(`${JSON.stringify(row)}\n`)
      else shown.push(row)
    }
    if (options.json) return 0
    io.write(shown.length === 0 ? 'No entry and no exit.\n' : changeTable(shown, io.colours))
    if (isMore) io.write(`These are the newest ${limit}: --limit N shows more, --json all.\n`)
    return 0
  },
)

/** The API lists all of a person; those of one segment are picked out here, where `limit` is then the caller's. */
async function* changesOf(api: Api, person: string, slug: string, limit: number): AsyncGenerator<Change> {
  const asked = slug === '' ? limit : Number.POSITIVE_INFINITY
  for await (const page of pagesOf<Change>(api, `${person}/segment-changes`, { limit: asked }))
    for (const row of page) if (slug === '' || row.segment === slug) yield row
}

function changeTable(rows: Change[], colours: boolean): string {
  return table(
    [
      { title: 'HAPPENED AT' },
      { title: 'SEGMENT' },
      { title: '' },
      { title: 'REASON' },
      { title: 'VERSION', align: 'right' },
      { title: 'NOTICED AT' },
    ],
    rows.map((row) => [
      row.effectiveAt,
      row.segment,
      row.op === 'enter' ? paint('enter', 'green', colours) : paint('exit', 'red', colours),
      row.reason,
      String(row.version),
      row.recordedAt,
    ]),
  )
}
