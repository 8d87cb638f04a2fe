// The body of an upload as ids: bytes to text to cells, with the limits of each step. Called by api/lists.ts; what it yields is
// on its way to Postgres before the next piece is read.
import { Readable } from 'node:stream'
import { TextDecoder } from 'node:util'
import { createListReader, LIST_LIMITS, type ListReader } from '../domain/list-file.ts'
import { fail, MillraceError } from '../runtime/errors.ts'

export type Upload = { chunks: AsyncIterable<string[]>; counts: ListReader['counts'] }

/** Throws (while it is read) `malformed_csv` or `payload_too_large`; `unsupported_media` at once. */
export function readUpload(body: unknown, headers: { 'content-encoding'?: string | undefined }): Upload {
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity')
    throw fail('unsupported_media', 'a list is sent as it is, without a Content-Encoding', {
      field: 'content-encoding',
    })
  if (!(body instanceof Readable))
    throw fail('unsupported_media', 'a list is sent as text/csv', { field: 'content-type' })
  const reader = createListReader()
  return { chunks: idsOf(body, reader), counts: reader.counts }
}

async function* idsOf(body: Readable, reader: ListReader): AsyncGenerator<string[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let bytes = 0
  for await (const piece of piecesOf(body)) {
    bytes += piece.length
    if (bytes > LIST_LIMITS.bytes)
      throw fail('payload_too_large', `a list has at most ${LIST_LIMITS.bytes} bytes`)
    yield reader.read(textOf(decoder, piece))
  }
  yield reader.read(textOf(decoder))
  yield reader.end()
}

/** A sender that goes away is its failure, not that of the store that is being written to. */
async function* piecesOf(body: Readable): AsyncGenerator<Buffer> {
  try {
    // Left open when reading it is given up: destroying it would close the connection before the answer is on it.
    yield* body.iterator({ destroyOnReturn: false })
  } catch (error) {
    if (error instanceof MillraceError) throw error
    throw fail('invalid_request', 'the body broke off')
  }
}

function textOf(decoder: TextDecoder, piece?: Buffer): string {
  try {
    return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true })
  } catch {
    throw fail('malformed_csv', 'the body is not UTF-8')
  }
}
