// Request bodies: bytes to a JSON value, each step with its own limit and its own 4xx. Called by collector/receive.ts
// after the key in the headers was found good. Stores nothing, logs nothing.
import { isUtf8 } from 'node:buffer'
import { promisify } from 'node:util'
import { gunzip, inflate, inflateRaw } from 'node:zlib'
import { fail } from '../runtime/errors.ts'

export type Body = {
  value: unknown
  /** Size after inflating. */
  bytes: number
  /** Whether any string of it may hold what only a `\u` escape can bring in. */
  hasEscapes: boolean
}

const MEDIA = /^(?:application\/json|text\/plain)\s*(?:;\s*charset="?(?:utf-8|us-ascii)"?\s*)?$/i

/** Throws `unsupported_media` for a content type that cannot be JSON in UTF-8; none at all is taken for JSON. */
export function checkMedia(contentType: string | undefined): void {
  if (contentType === undefined || contentType === 'application/json' || contentType === 'text/plain') return
  if (MEDIA.test(contentType)) return
  throw fail('unsupported_media', 'the body must be application/json or text/plain in UTF-8', {
    field: 'content-type',
  })
}

type Inflate = (input: Buffer, maxBytes: number) => Promise<Buffer>
const unzip = {
  gzip: promisify(gunzip),
  deflate: promisify(inflate),
  raw: promisify(inflateRaw),
}
const CODINGS: Record<string, Inflate> = {
  gzip: (input, maxOutputLength) => unzip.gzip(input, { maxOutputLength }),
  'x-gzip': (input, maxOutputLength) => unzip.gzip(input, { maxOutputLength }),
  // RFC 9110 means zlib's format; some clients send bare deflate, which never starts with zlib's method nibble.
  deflate: (input, maxOutputLength) =>
    ((input[0] ?? 0) & 0x0f) === 8
      ? unzip.deflate(input, { maxOutputLength })
      : unzip.raw(input, { maxOutputLength }),
}

/** The inflater of a Content-Encoding, undefined for none; throws `unsupported_media` for any other or a list. */
export function codingOf(contentEncoding: string | undefined): Inflate | undefined {
  if (contentEncoding === undefined || contentEncoding === 'identity' || contentEncoding === '')
    return undefined
  const name = contentEncoding.trim().toLowerCase()
  const coding = Object.hasOwn(CODINGS, name) ? CODINGS[name] : undefined
  if (coding !== undefined) return coding
  throw fail('unsupported_media', 'the body may be plain or in one of gzip, deflate', {
    field: 'content-encoding',
  })
}

/** Real batches shrink 5 to 50 times; what grows more than this is a bomb, stopped while it inflates. */
const MAX_RATIO = 500

/** Inflates, checks the UTF-8 and parses. Throws `payload_too_large`, `invalid_request` or `malformed_json`. */
export async function inflateBody(raw: Buffer, coding: Inflate, maxBytes: number): Promise<Buffer> {
  const allowed = Math.max(1, Math.min(maxBytes, raw.length * MAX_RATIO))
  try {
    return await coding(raw, allowed)
  } catch (error) {
    if (error instanceof RangeError) {
      throw fail('payload_too_large', `the body inflates to more than ${allowed} bytes`, { cause: error })
    }
    throw fail('malformed_json', 'the body is not what its Content-Encoding says', {
      field: 'content-encoding',
      cause: error,
    })
  }
}

/** Parses a plain body. A byte order mark is skipped; bytes that are not UTF-8 are refused, never replaced. */
export function parseBody(raw: Buffer): Body {
  if (raw.length === 0) throw fail('malformed_json', 'the body is empty')
  if (!isUtf8(raw)) throw fail('malformed_json', 'the body is not valid UTF-8')
  const start = raw[0] === 0xef && raw[1] === 0xbb && raw[2] === 0xbf ? 3 : 0
  const text = raw.toString('utf8', start)
  try {
    return { value: JSON.parse(text), bytes: raw.length, hasEscapes: text.includes('\\u') }
  } catch (error) {
    // The parser's message quotes the body: only the position is passed on.
    const position = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined
    throw fail(
      'malformed_json',
      `the body is not JSON${position === undefined ? '' : `, at character ${position}`}`,
    )
  }
}
