// millrace tail: every event as it arrives, with its verdict and the reason of a refusal. Reads the event debugger's feed;
// ids of people are masked in it already.
import { type FeedEntry, readFeed } from '../../cache/live-feed.ts'
import { fail } from '../../runtime/errors.ts'
import { listSources, type SourceRow } from '../../store/sources.ts'
import { nearest, parseOptions, wholeNumber } from '../args.ts'
import { type System, withSystem } from '../connect.ts'
import { onInterrupt, sleep } from '../interrupt.ts'
import type { CliIo } from '../io.ts'
import { paint } from '../table.ts'

const POLL_MS = 500
const PAGE = 500

type Line = FeedEntry & { source: string }

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options, positionals } = parseOptions(
    args,
    { json: 'boolean', once: 'boolean', lines: 'string' },
    1,
  )
  const lines = wholeNumber(options.lines, 'lines', { min: 0, max: 500 }) ?? 20
  return withSystem(io, async (system) => {
    const sources = await wantedSources(system, positionals[0])
    const print = (line: Line) => io.write(options.json ? `${JSON.stringify(line)}\n` : lineOf(line, io))
    const lastIds = new Map<number, string>()
    const past = await readAll(system, sources, lastIds, Math.max(1, lines))
    for (const line of past.slice(past.length - Math.min(lines, past.length))) print(line)
    if (options.once) return 0
    io.writeError(`Following ${sources.map((source) => source.name).join(', ')}; Ctrl-C ends it.\n`)
    const interrupt = onInterrupt()
    try {
      while (!interrupt.signal.aborted) {
        await sleep(POLL_MS, interrupt.signal)
        for (const line of await readAll(system, sources, lastIds, PAGE)) print(line)
      }
    } finally {
      interrupt.release()
    }
    return 0
  })
}

async function wantedSources({ sql }: System, name: string | undefined): Promise<SourceRow[]> {
  const all = await listSources(sql)
  if (all.length === 0) {
    throw fail('not_found', 'there is no source yet: millrace keys create --source NAME makes one')
  }
  if (name === undefined) return all
  const found = all.filter((source) => source.name === name || String(source.sourceId) === name)
  if (found.length > 0) return found
  const names = all.map((source) => source.name)
  const near = nearest(name, names)
  throw fail(
    'not_found',
    `there is no source ${name}: ${near === undefined ? names.join(', ') : `did you mean ${near}?`}`,
  )
}

/** What is new in each source's feed, in order of time; notes in `lastIds` how far it read. */
async function readAll(
  { cache }: System,
  sources: SourceRow[],
  lastIds: Map<number, string>,
  limit: number,
): Promise<Line[]> {
  const feeds = await Promise.all(
    sources.map(async ({ sourceId, name }) => {
      // A feed that was empty at the first look is read from its beginning when something comes.
      const entries = await readFeed(cache, sourceId, lastIds.get(sourceId), limit)
      lastIds.set(sourceId, entries.at(-1)?.id ?? lastIds.get(sourceId) ?? '0-0')
      return entries.map((entry) => ({ source: name, ...entry }))
    }),
  )
  return feeds.flat().sort((a, b) => a.at - b.at)
}

function lineOf(line: Line, io: CliIo): string {
  const isGood = line.verdict === 'accepted'
  const time = new Date(line.at).toISOString().slice(11, 23)
  const what = [line.type, line.name].filter((part) => part !== undefined && part !== '').join(' ')
  const why = isGood
    ? ''
    : [line.code, line.field, line.reason].filter((part) => part !== undefined).join(': ')
  const skipped = line.skipped === undefined ? '' : ` (+${line.skipped} more)`
  const verdict = paint(line.verdict.padEnd(8), isGood ? 'green' : 'red', io.colours)
  return `${paint(time, 'dim', io.colours)}  ${verdict}  ${line.source}  ${what}  ${line.user ?? ''}  ${line.messageId ?? ''}  ${why}${skipped}`
    .trimEnd()
    .concat('\n')
}
