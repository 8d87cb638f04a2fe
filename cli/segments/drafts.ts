// segments draft, publish, discard, rollback and versions: an edit looked at before it counts, and taken back.
import type { Draft, MovedPerson, Version } from '../../api/segment-drafts.ts'
import type { Segment } from '../../api/segment-shapes.ts'
import { openApi, pagesOf, path } from '../api-client.ts'
import { wholeNumber } from '../args.ts'
import type { CliIo } from '../io.ts'
import { counted, formatCount, printable, table } from '../table.ts'
import { verb } from '../verbs.ts'
import { aboutSegment } from './subjects.ts'

const SHOWN = 50

export const draft = verb(
  'SLUG',
  { people: 'boolean', limit: 'string', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const limit =
      wholeNumber(options.limit, 'limit', { min: 1, max: Number.MAX_SAFE_INTEGER }) ??
      (options.json ? Number.POSITIVE_INFINITY : SHOWN)
    const api = openApi(io)
    return aboutSegment(api, slug, async () => {
      const found = await api.get<Draft>(path`/api/v1/segments/${slug}/draft`)
      if (!options.people) {
        io.write(options.json ? `${JSON.stringify(found)}\n` : about(slug, found))
        return 0
      }
      const pages = pagesOf<MovedPerson>(api, path`/api/v1/segments/${slug}/draft/people`, { limit })
      for await (const page of pages) {
        for (const person of page) io.write(options.json ? `${JSON.stringify(person)}\n` : movedLine(person))
        await io.written()
      }
      return 0
    })
  },
)

/** `+` = enters, `-` = leaves. */
export function movedLine({ op, profileId, userId }: MovedPerson): string {
  return `${op === 'enter' ? '+' : '-'} ${String(profileId).padStart(16)}  ${printable(userId ?? '-')}\n`
}

function about(slug: string, { version, state, note, author, difference }: Draft): string {
  const { entering, leaving, stays } = difference
  const why = note === '' ? '' : `: ${printable(note)}`
  const unfinished = state === 'building' ? '\nNot everybody has been evaluated for it yet.' : ''
  return `Version ${version} of ${slug}, by ${printable(author)}${why}
+${formatCount(entering)} would enter, -${formatCount(leaving)} leave, ${formatCount(stays)} stay.${unfinished}
Who: millrace segments draft ${slug} --people. Then: millrace segments publish ${slug}, or discard.
`
}

export const publish = swap('draft/publish', 'is live')
export const rollback = swap('rollback', 'is live again')

function swap(route: string, what: string) {
  return verb('SLUG', { json: 'boolean' }, async ({ names: [slug = ''], options, io }) => {
    const api = openApi(io)
    const changed = await aboutSegment(api, slug, () =>
      api.send<Segment>('POST', `${path`/api/v1/segments/${slug}`}/${route}`),
    )
    if (options.json) io.write(`${JSON.stringify(changed)}\n`)
    else
      io.write(
        `Version ${changed.version} of ${changed.slug} ${what}. Back: millrace segments rollback ${changed.slug}.\n`,
      )
    return 0
  })
}

export const discard = verb('SLUG', { json: 'boolean' }, async ({ names: [slug = ''], options, io }) => {
  const api = openApi(io)
  const changed = await aboutSegment(api, slug, () =>
    api.send<Segment>('DELETE', path`/api/v1/segments/${slug}/draft`),
  )
  io.write(options.json ? `${JSON.stringify(changed)}\n` : `${changed.slug} has no draft any more.\n`)
  return 0
})

export const versions = verb('SLUG', { json: 'boolean' }, async ({ names: [slug = ''], options, io }) => {
  const api = openApi(io)
  await aboutSegment(api, slug, async () => {
    const rows: Version[] = []
    const pages = pagesOf<Version>(api, path`/api/v1/segments/${slug}/versions`, {
      limit: Number.POSITIVE_INFINITY,
    })
    for await (const page of pages) rows.push(...page)
    show(rows, options.json === true, io)
  })
  return 0
})

function show(rows: Version[], asJson: boolean, io: CliIo): void {
  if (asJson) {
    for (const row of rows) io.write(`${JSON.stringify(row)}\n`)
    return
  }
  const columns = ['VERSION', 'STATE', 'CREATED', 'AUTHOR', 'NOTE'].map((title) => ({ title }))
  io.write(
    table(
      columns,
      rows.map((row) => [
        ...[String(row.version), row.state, row.createdAt, printable(row.author), printable(row.note)],
      ]),
    ),
  )
  io.write(`${counted(rows.length, 'version')}.\n`)
}
