// segments difference: how many entered, left and stayed between two dates or two versions, and who.
import type { Difference } from '../../api/segment-difference.ts'
import type { MovedPerson } from '../../api/segment-drafts.ts'
import { fail } from '../../runtime/errors.ts'
import { type Api, openApi, pagesOf, path, type Query } from '../api-client.ts'
import { wholeNumber, zonedInstant } from '../args.ts'
import { createProgress, type Progress } from '../demo/progress.ts'
import type { CliIo } from '../io.ts'
import { formatCount } from '../table.ts'
import { verb } from '../verbs.ts'
import { movedLine } from './drafts.ts'
import { aboutSegment } from './subjects.ts'

const SHOWN = 50
const LOOK_MS = 1_000

export const difference = verb(
  'SLUG',
  {
    ...{ from: 'string', to: 'string', known: 'string', people: 'boolean', op: 'string' },
    ...{ limit: 'string', json: 'boolean' },
  },
  async ({ names: [slug = ''], options, io }) => {
    const { known, op } = options
    const [from, to] = [endOf(options.from, 'from'), endOf(options.to, 'to')]
    if (from === undefined)
      throw fail('invalid_request', 'say since when, or since which version: --from TIME or --from VERSION')
    if (op !== undefined && !options.people) throw fail('invalid_request', '--op is for --people')
    const wanted = wholeNumber(options.limit, 'limit', { min: 1, max: Number.MAX_SAFE_INTEGER })
    const limit = wanted ?? (options.json ? Number.POSITIVE_INFINITY : SHOWN)
    const isJson = options.json === true
    const api = openApi(io)
    const ends = { from, to, known }
    return aboutSegment(api, slug, async () => {
      if (options.people) await writePeople(api, slug, { query: { ...ends, op }, limit, isJson, io })
      else {
        const found = await count(api, slug, ends, isJson ? { ...io, isTerminal: false } : io)
        io.write(isJson ? `${JSON.stringify(found)}\n` : about(found))
      }
      return 0
    })
  },
)

/** A version as it was written, or an instant with its zone. */
function endOf(text: string | undefined, name: string): string | undefined {
  return text !== undefined && /^\d+$/.test(text) ? text : zonedInstant(text, name)
}

async function writePeople(
  api: Api,
  slug: string,
  { query, limit, isJson, io }: { query: Query; limit: number; isJson: boolean; io: CliIo },
): Promise<void> {
  const pages = pagesOf<MovedPerson>(api, path`/api/v1/segments/${slug}/difference/people`, { query, limit })
  let count = 0
  for await (const page of pages) {
    for (const person of page) io.write(isJson ? `${JSON.stringify(person)}\n` : movedLine(person))
    count += page.length
    await io.written()
  }
  if (count === 0 && !isJson) io.write('Nobody.\n')
}

/** Follows the count until it is exact; in a terminal with a bar, where a share of everybody is known. */
async function count(api: Api, slug: string, ends: Query, io: CliIo): Promise<Difference> {
  let progress: Progress | undefined
  for (let cursor: string | undefined; ; ) {
    const place = path`/api/v1/segments/${slug}/difference`
    const found = await api.get<Difference>(place, { ...ends, budgetMs: LOOK_MS, cursor })
    const isFollowed = io.isTerminal && (progress !== undefined || !found.complete)
    if (isFollowed) {
      progress ??= createProgress({ ...io, now: Date.now, stages: [{ name: 'per cent', total: 100 }] })
      progress.note(soFar(found))
      progress.set('per cent', Math.floor(found.share * 100))
    }
    if (found.nextCursor === null) {
      progress?.finish()
      return found
    }
    cursor = found.nextCursor
  }
}

function soFar({ estimate, entered, left, stayed }: Difference): string {
  if (estimate === null)
    return `so far +${formatCount(entered)} entered, -${formatCount(left)} left, ${formatCount(stayed)} stayed`
  const [more, fewer, same] = [estimate.entered, estimate.left, estimate.stayed].map(
    ({ low, high }) => `${formatCount(low)} to ${formatCount(high)}`,
  )
  return `+${more} entered, -${fewer} left, ${same} stayed, each with 95 % certainty`
}

function about({ segment, from, to, known, entered, left, stayed }: Difference): string {
  const isOfVersions = !from.includes('-')
  const ends = isOfVersions ? `from version ${from} to version ${to}` : `from ${from} to ${to}`
  const by = isOfVersions ? 'by the data of now' : known === 'then' ? 'as known then' : 'as known now'
  const again = `--from ${from} --to ${to}${isOfVersions || known === 'then' ? '' : ' --known now'}`
  return `${segment}, ${ends}, ${by}:
+${formatCount(entered)} entered, -${formatCount(left)} left, ${formatCount(stayed)} stayed.
Who: millrace segments difference ${segment} ${again} --people
`
}
