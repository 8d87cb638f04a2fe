// The HTTP API as commands use it: finds it, and turns what it refuses into our errors, each with its mend. Used by the
// commands segments and lists.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from '../api/paging.ts'
import { readConfig } from '../runtime/config.ts'
import { describeError, ERRORS, type ErrorCode, errorCodeOf, fail, MillraceError } from '../runtime/errors.ts'
import { readDemoNote } from './demo/setup.ts'
import type { CliIo } from './io.ts'
import { readRunState } from './run-state.ts'

export type Query = Record<string, string | number | undefined>
export type Api = {
  /** Asks again for a while when it is told to; changes are sent once. */
  get<T>(path: string, query?: Query): Promise<T>
  send<T>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T>
  /** An answer that is too large to hold; throws `unavailable` when it breaks off. */
  stream(path: string): AsyncGenerator<Uint8Array>
  /** `bytes` = how many will come, undefined = that is not known. */
  upload<T>(
    path: string,
    file: { type: string; chunks: AsyncIterable<Uint8Array>; bytes: number | undefined },
  ): Promise<T>
}

const ANSWER_MS = 60_000
const PATIENCE = { asks: 5, waitS: 10 }
const NOT_NOW: readonly ErrorCode[] = ['rate_limited', 'overloaded', 'unavailable']
const PAGE_ROWS = 500
const KEY_MEND = 'MILLRACE_API_KEY must hold a secret key, which millrace keys create --secret makes'

/** MILLRACE_API_URL and MILLRACE_API_KEY, else what the running start of this data folder has noted. */
function findApi(io: CliIo): { url: string; key: string } {
  const { apiUrl, apiKey, dataDir } = readConfig(io.env)
  if (apiUrl !== '') {
    // The key of the start that runs here is for nobody else's ears.
    if (apiKey === '') throw fail('unauthorized', `MILLRACE_API_URL is set: ${KEY_MEND}`)
    return { url: apiUrl, key: apiKey }
  }
  const state = readRunState(dataDir)
  if (state === undefined || state.httpUrl === '')
    throw fail(
      'unavailable',
      `Millrace does not run here (${dataDir}): start it with npm start, or set MILLRACE_API_URL and MILLRACE_API_KEY`,
    )
  const key = apiKey || (state.secretKey ?? readDemoNote(dataDir)?.secretKey ?? '')
  if (key === '') throw fail('unauthorized', `start has not made its key yet: try again soon, or ${KEY_MEND}`)
  return { url: state.httpUrl, key }
}

/** Connects to nothing yet; throws `unavailable` or `unauthorized` when it is not known where to or as whom. */
export function openApi(io: CliIo): Api {
  const { url, key } = findApi(io)
  const base = url.replace(/\/+$/, '')
  const { host: place } = new URL(base)

  async function ask(path: string, init: RequestInit): Promise<Response> {
    const headers = { authorization: `Bearer ${key}`, ...init.headers }
    const response = await fetch(`${base}${path}`, { ...init, headers }).catch((cause: unknown) => {
      throw unreachable(place, cause)
    })
    if (!response.ok) throw await refusalOf(response, place)
    return response
  }
  const asked = async <T>(path: string, init: RequestInit): Promise<T> =>
    decode<T>(await ask(path, { signal: AbortSignal.timeout(ANSWER_MS), ...init }), place)

  return {
    async get(path, query = {}) {
      for (let left = PATIENCE.asks; ; left--) {
        try {
          return await asked(`${path}${queryOf(query)}`, { method: 'GET' })
        } catch (error) {
          const waitS = error instanceof MillraceError && NOT_NOW.includes(error.code) && error.retryAfterS
          if (!waitS || waitS > PATIENCE.waitS || left === 1) throw error
          await sleep(waitS * 1000)
        }
      }
    },
    send: (method, path, body) =>
      asked(path, {
        method,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      }),
    async *stream(path) {
      const { body } = await ask(path, { method: 'GET' })
      if (body === null) return
      try {
        yield* body
      } catch (cause) {
        throw fail('unavailable', `the answer of the API at ${place} broke off`, { cause })
      }
    },
    upload: (path, { type, chunks, bytes }) =>
      asked(path, {
        method: 'PUT',
        body: chunks,
        duplex: 'half',
        headers: {
          'content-type': type,
          ...(bytes === undefined ? {} : { 'content-length': String(bytes) }),
        },
      }),
  }
}

/** All pages of a list, at most `limit` rows; a page is asked for when the one before has been taken. */
export async function* pagesOf<Row>(
  api: Api,
  path: string,
  options: { query?: Query; limit: number },
): AsyncGenerator<Row[]> {
  let cursor: string | undefined
  for (let left = options.limit; left > 0; ) {
    const query = { ...options.query, limit: Math.min(PAGE_ROWS, left), cursor }
    const { data, nextCursor } = await api.get<Page<Row>>(path, query)
    yield data
    left -= data.length
    if (nextCursor === null) return
    cursor = nextCursor
  }
}

/** A path whose parts are escaped, for names that people type: path`/api/v1/segments/${slug}`. */
export function path(texts: TemplateStringsArray, ...names: string[]): string {
  return texts.reduce((whole, text, i) => `${whole}${escapePart(names[i - 1] ?? '')}${text}`)
}

/** Dots alone would climb in the path, also when they are escaped. */
function escapePart(name: string): string {
  if (/^\.{0,2}$/.test(name)) throw fail('invalid_request', `"${name}" is no name`)
  return encodeURIComponent(name)
}

function queryOf(query: Query): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value))
  return search.size === 0 ? '' : `?${search}`
}

function unreachable(place: string, error: unknown): MillraceError {
  if (error instanceof MillraceError) return error
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  // What reading a file for an upload has thrown comes out of here as well.
  if (cause instanceof MillraceError) return cause
  const why = errorCodeOf(cause) || describeError(cause)
  return fail('unavailable', `the API does not answer at ${place} (${why}): is it running?`, { cause: error })
}

async function decode<T>(response: Response, place: string): Promise<T> {
  const text = await response.text().catch((cause: unknown) => {
    throw fail('unavailable', `the answer of the API at ${place} broke off`, { cause })
  })
  try {
    // The API checks its answers against the schemas that the types come from: this is the one decode cast.
    return JSON.parse(text) as T
  } catch {
    throw notOurs(response, place)
  }
}

/** The problem (RFC 9457) of an answer as an error whose text has the code, the reason, the field and the mend. */
async function refusalOf(response: Response, place: string): Promise<MillraceError> {
  const problem: unknown = await response.json().catch(() => undefined)
  if (typeof problem !== 'object' || problem === null || !('code' in problem) || !isCode(problem.code))
    return notOurs(response, place)
  const detail = 'detail' in problem ? String(problem.detail) : ERRORS[problem.code].title
  const field = 'field' in problem ? String(problem.field) : undefined
  const seconds = Number(response.headers.get('retry-after') ?? 0)
  const mends = [
    ...(problem.code === 'unauthorized' || problem.code === 'forbidden' ? [KEY_MEND] : []),
    ...(seconds > 0 ? [`try again in ${seconds} s`] : []),
  ]
  const where = field === undefined || detail.includes(field) ? '' : ` (${field})`
  return fail(problem.code, [`${problem.code}: ${detail}${where}`, ...mends].join('; '), {
    ...(field === undefined ? {} : { field }),
    ...(seconds > 0 ? { retryAfterS: seconds } : {}),
  })
}

function notOurs({ status }: Response, place: string): MillraceError {
  return fail('unavailable', `${place} answers (${status}), but not as Millrace does: is that its API?`)
}

function isCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code)
}
