// A client of the feed: reads server-sent events as the standard says, keeps the last id, and collects the changes.
import type { FeedChange } from '../../api/feed/message.ts'
import { waitFor } from './wait-for.ts'

export type FeedEvent = { event: string; data: string; lastId: string }

export type FeedClient = Awaited<ReturnType<typeof openFeed>>

/** Throws the answer's text when it is no stream. `cut` ends it at once, as a lost connection does. */
export async function openFeed(
  api: { url: string; key: string },
  query = '',
  options: { lastId?: string; key?: string } = {},
) {
  const abort = new AbortController()
  const response = await fetch(`${api.url}/api/v1/segment-feed${query}`, {
    headers: {
      authorization: `Bearer ${options.key ?? api.key}`,
      ...(options.lastId === undefined ? {} : { 'last-event-id': options.lastId }),
    },
    signal: abort.signal,
  })
  if (!response.headers.get('content-type')?.startsWith('text/event-stream'))
    throw new Error(await response.text())
  const events: FeedEvent[] = []
  const comments: string[] = []
  let lastId = options.lastId ?? ''
  let isOver = false
  const read = async () => {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of response.body ?? []) {
      const blocks = `${rest}${decoder.decode(chunk, { stream: true })}`.split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const fields = new Map<string, string>()
        for (const line of block.split('\n')) {
          const colon = line.indexOf(':')
          if (colon === 0) comments.push(line.slice(1).trim())
          else fields.set(line.slice(0, colon), line.slice(colon + 1).trimStart())
        }
        lastId = fields.get('id') ?? lastId
        const data = fields.get('data')
        if (data !== undefined) events.push({ event: fields.get('event') ?? 'message', data, lastId })
      }
    }
  }
  const done = read()
    .catch(() => {})
    .finally(() => {
      isOver = true
    })
  const parsed = (event: string) =>
    events.filter((one) => one.event === event).map((one) => JSON.parse(one.data))
  return {
    response,
    comments,
    done,
    isOver: () => isOver,
    lastId: () => lastId,
    changes: (): FeedChange[] => parsed('change'),
    counters: (): { segments: { slug: string; entered: number; left: number; members: number }[] }[] =>
      parsed('counters'),
    ending: (): string | undefined => parsed('end')[0]?.reason,
    /** Waits until so many changes are there, and returns them. */
    async take(count: number): Promise<FeedChange[]> {
      await waitFor(() => parsed('change').length >= count, { what: `${count} changes` })
      return parsed('change')
    },
    async cut() {
      abort.abort()
      await done
    },
  }
}
