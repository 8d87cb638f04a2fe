// segments create, edit and archive: each is live at once, or with --draft only tried; a run looks at everybody again.
import type { Segment } from '../../api/segment-shapes.ts'
import { MillraceError } from '../../runtime/errors.ts'
import { openApi, path } from '../api-client.ts'
import { counted } from '../table.ts'
import { verb } from '../verbs.ts'
import { sizeOf } from './look.ts'
import { readRule } from './rule-file.ts'
import { aboutSegment } from './subjects.ts'

export const create = verb(
  'SLUG',
  { name: 'string', rule: 'string', note: 'string', draft: 'boolean', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const rule = await readRule(options.rule, io)
    const { name = slug, note, draft } = options
    const made = await openApi(io)
      .send<Segment>('POST', '/api/v1/segments', { slug, name, rule, draft, ...noteOf(note) })
      .catch((error: unknown) => {
        if (!(error instanceof MillraceError) || error.code !== 'conflict') throw error
        const mend = `millrace segments edit ${slug} --rule FILE gives it another rule`
        throw new MillraceError(error.code, `${error.detail}; ${mend}`, { cause: error })
      })
    if (options.json) io.write(`${JSON.stringify(made)}\n`)
    else if (draft) io.write(triedText(made))
    else io.write(`${slug} is live. ${lookedAt(slug)}`)
    return 0
  },
)

export const edit = verb(
  'SLUG',
  { rule: 'string', note: 'string', draft: 'boolean', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const rule = await readRule(options.rule, io)
    const api = openApi(io)
    const place = options.draft ? path`/api/v1/segments/${slug}/draft` : path`/api/v1/segments/${slug}/rule`
    const { before, changed } = await aboutSegment(api, slug, async () => ({
      before: await api.get<Segment>(path`/api/v1/segments/${slug}`),
      changed: await api.send<Segment>('PUT', place, { rule, ...noteOf(options.note) }),
    }))
    if (options.json) io.write(`${JSON.stringify(changed)}\n`)
    else if (options.draft) io.write(triedText(changed))
    else if (before.version === changed.version)
      io.write(`${changed.slug} has this rule already: nothing was changed.\n`)
    else io.write(`Version ${changed.version} of ${changed.slug} is live. ${lookedAt(changed.slug)}`)
    return 0
  },
)

function lookedAt(slug: string): string {
  return `Everybody is looked at again: millrace segments show ${slug} says how far that is.\n`
}

function triedText({ slug, draft }: Segment): string {
  return `Version ${draft?.version ?? '-'} of ${slug} is tried on everybody, and nobody moves: millrace segments draft ${slug} says whom it would.\n`
}

function noteOf(note: string | undefined) {
  return note === undefined ? {} : { note }
}

export const archive = verb(
  'SLUG',
  { yes: 'boolean', json: 'boolean' },
  async ({ names: [slug = ''], options, io }) => {
    const api = openApi(io)
    const whole = path`/api/v1/segments/${slug}`
    const { before, size } = await aboutSegment(api, slug, async () => ({
      before: await api.get<Segment>(whole),
      size: await sizeOf(api, slug),
    }))
    if (before.archivedAt !== null) {
      io.write(
        options.json
          ? `${JSON.stringify(before)}\n`
          : `${before.slug} was archived before: nothing was done.\n`,
      )
      return 0
    }
    if (!options.yes) {
      io.write(
        options.json
          ? `${JSON.stringify({ ...before, size })}\n`
          : `${counted(size, 'member')} would leave ${before.slug}. Nothing was done: add --yes to do it.\n`,
      )
      return 0
    }
    const changed = await api.send<Segment>('DELETE', whole)
    if (options.json) io.write(`${JSON.stringify(changed)}\n`)
    else
      io.write(
        `${before.slug} is archived, and its ${counted(size, 'member')} leave it. Back: millrace segments edit ${before.slug} --rule FILE.\n`,
      )
    return 0
  },
)
