// The two ways to a listener: server-sent events, and a WebSocket with the same messages as JSON. Both take what is sent at the
// client's pace and say at the end why it ends.
import type { ServerResponse } from 'node:http'
import type { WebSocket } from '@fastify/websocket'

/** `id` = the position after this message and all before it; `data` = JSON. */
export type Message = { event: 'change' | 'counters'; data: string; id?: string }
export type Ending = 'stopping' | 'slow' | 'unauthorized' | 'unavailable' | 'full'

export type Sink = {
  transport: 'sse' | 'websocket'
  isOpen(): boolean
  /** Resolves when the client has taken it, or is gone. One that takes nothing for `slowMs` is cut off. */
  send(messages: readonly Message[]): Promise<void>
  /** Keeps proxies from closing it, and takes the position along over what was filtered out. */
  beat(id: string | undefined): void
  end(why: Ending): void
  /** Calls back once, however it ended. */
  onClose(closed: () => void): void
}

/** How long a client has to take the last message; one that was slow may be so once more. */
const LINGER_MS = 1000
/** What a client waits before it connects again. */
const RETRY_MS = 2000

export type Terms = {
  slowMs: number
  /** Called when it is ended by us. */
  ended(why: Ending): void
}

export function openEventStream(stream: ServerResponse, { slowMs, ended }: Terms): Sink {
  stream.on('error', () => {})
  stream.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
  })
  stream.write(`retry: ${RETRY_MS}\n\n`)
  const isOpen = () => !stream.writableEnded && !stream.destroyed
  const sink: Sink = {
    transport: 'sse',
    isOpen,
    async send(messages) {
      if (!isOpen()) return
      const text = messages.map(({ event, data, id }) => {
        const position = id === undefined ? '' : `id: ${id}\n`
        return `${position}event: ${event}\ndata: ${data}\n\n`
      })
      if (stream.write(text.join(''))) return
      if (!(await isDrained(stream, slowMs))) sink.end('slow')
    },
    beat(id) {
      if (isOpen()) stream.write(id === undefined ? ': still here\n\n' : `: still here\nid: ${id}\n\n`)
    },
    end(why) {
      if (!isOpen()) return
      ended(why)
      stream.end(`event: end\ndata: ${JSON.stringify({ reason: why })}\n\n`)
      setTimeout(() => stream.destroy(), why === 'slow' ? slowMs : LINGER_MS).unref()
    },
    onClose: (closed) => void stream.once('close', closed),
  }
  return sink
}

/** False when nothing was taken for `ms`; true also when it is closed. */
function isDrained(stream: ServerResponse, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isTaken: boolean) => {
      clearTimeout(timer)
      stream.off('drain', taken)
      stream.off('close', taken)
      resolve(isTaken)
    }
    const taken = () => settle(true)
    const timer = setTimeout(() => settle(false), ms)
    stream.on('drain', taken)
    stream.on('close', taken)
  })
}

/** Close codes of RFC 6455 and its registry. */
const CLOSE_CODES = { stopping: 1012, slow: 1013, unauthorized: 1008, unavailable: 1013, full: 1013 } as const

export function openSocket(socket: WebSocket, { slowMs, ended }: Terms): Sink {
  let isAnswered = true
  socket.on('error', () => {})
  socket.on('pong', () => {
    isAnswered = true
  })
  const isOpen = () => socket.readyState === socket.OPEN
  const textOf = ({ event, data, id }: Message) =>
    `{"event":"${event}",${id === undefined ? '' : `"id":"${id}",`}"data":${data}}`
  const sink: Sink = {
    transport: 'websocket',
    isOpen,
    async send(messages) {
      if (!isOpen()) return
      const last = messages.length - 1
      const isTaken = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), slowMs)
        messages.forEach((message, i) => {
          socket.send(textOf(message), () => {
            if (i < last) return
            clearTimeout(timer)
            resolve(true)
          })
        })
      })
      if (!isTaken) sink.end('slow')
    },
    beat(id) {
      if (!isOpen()) return
      // Whoever has not answered since the last one is gone without a word.
      if (!isAnswered) return socket.terminate()
      isAnswered = false
      socket.ping()
      if (id !== undefined) socket.send(JSON.stringify({ event: 'position', id }))
    },
    end(why) {
      if (!isOpen()) return
      ended(why)
      socket.send(JSON.stringify({ event: 'end', data: { reason: why } }))
      socket.close(CLOSE_CODES[why], why)
      setTimeout(() => socket.terminate(), why === 'slow' ? slowMs : LINGER_MS).unref()
    },
    onClose: (closed) => void socket.once('close', closed),
  }
  return sink
}
