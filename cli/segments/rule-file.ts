// A rule, or another JSON document, from a file or standard input. Mistakes of the rule itself are the API's to find: it names their path.
import { readFile } from 'node:fs/promises'
import { describeError, errorCodeOf, fail } from '../../runtime/errors.ts'
import type { CliIo } from '../io.ts'

/** `file` '-' = standard input. A `match` alone, as docs/SEGMENTS.md shows them, is taken for a rule. */
export async function readRule(file: string | undefined, io: CliIo): Promise<unknown> {
  const rule = await readJson(file, { option: '--rule', noun: 'rule' }, io)
  const isMatch = typeof rule === 'object' && rule !== null && 'k' in rule && !('match' in rule)
  return isMatch ? { match: rule } : rule
}

/** `file` = what was given with `option`. */
export async function readJson(
  file: string | undefined,
  { option, noun }: { option: string; noun: string },
  io: CliIo,
): Promise<unknown> {
  if (file === undefined)
    throw fail('invalid_request', `name the file of the ${noun} with ${option} FILE; - = standard input`)
  const text = await (file === '-' ? textOf(io.input()) : textOfFile(file))
  try {
    return JSON.parse(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : describeError(error)
    throw fail('malformed_json', `${file === '-' ? `the ${noun}` : file} is no JSON: ${why}`)
  }
}

/** Makes (does not throw) the `not_found` of a file. */
export function unreadable(file: string, error: unknown) {
  const code = errorCodeOf(error)
  const why = code === 'ENOENT' ? 'there is no such file' : code || describeError(error)
  return fail('not_found', `${file} cannot be read: ${why}`, { cause: error })
}

async function textOfFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw unreadable(file, error)
  }
}

async function textOf(input: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of input) pieces.push(piece)
  return Buffer.concat(pieces).toString('utf8')
}
