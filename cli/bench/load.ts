// Load for the benchmark: a shop's events with fresh ids, and a client that speaks HTTP on raw sockets, so that the
// generator costs little next to what it measures.
import { connect, type Socket } from 'node:net'

const NAMES = [
  'Product Viewed',
  'Product Added',
  'Products Searched',
  'Order Completed',
  'Product Viewed',
  'Cart Viewed',
  'Product Viewed',
  'Product Viewed',
]
const AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
]

/** One event of a known user as JSON text, about 450 bytes; `number` makes its id unique within `run`. */
export function eventText(run: string, number: number, users: number, nowMs: number): string {
  // Four events of one visit follow each other, as SDKs send them; visits jump about between all users.
  const visit = Math.floor(number / 4)
  const user = (visit * 7919) % users
  const product = (number * 31) % 100
  const name = NAMES[number % NAMES.length]
  const money = name === 'Order Completed' ? `,"revenue":${19 + (number % 80)}.99,"currency":"USD"` : ''
  return `{"type":"track","messageId":"${run}-${number}","event":"${name}","userId":"user-${user}","anonymousId":"device-${user}","timestamp":"${new Date(nowMs).toISOString()}","properties":{"product_id":"p-${product}","name":"Product ${product}","category":"home","price":19.99,"quantity":1${money}},"context":{"library":{"name":"analytics-node","version":"3.1.0"},"userAgent":"${AGENTS[user % 2]}","locale":"en-US","page":{"path":"/p/${product}","url":"https://shop.example/p/${product}"}}}`
}

export type HttpLoad = {
  /** Sends one body and resolves with the status; bodies beyond the connections wait. */
  post(path: string, body: string): Promise<number>
  close(): void
}

type Waiting = {
  head: string
  body: string
  resolve: (status: number) => void
  reject: (error: Error) => void
}

/** Keep-alive connections with one request at a time each. */
export function openHttpLoad(options: { url: string; writeKey: string; connections: number }): HttpLoad {
  const { hostname, port } = new URL(options.url)
  const authorization = Buffer.from(`${options.writeKey}:`).toString('base64')
  const queue: Waiting[] = []
  const idle: Lane[] = []
  const lanes: Lane[] = []

  const next = (lane: Lane) => {
    const waiting = queue.shift()
    if (waiting === undefined) idle.push(lane)
    else lane.run(waiting)
  }
  for (let i = 0; i < options.connections; i++) {
    const lane = openLane(connect({ host: hostname, port: Number(port), noDelay: true }), next)
    lanes.push(lane)
    idle.push(lane)
  }
  return {
    post(path, body) {
      const head = `POST ${path} HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Basic ${authorization}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`
      return new Promise((resolve, reject) => {
        const waiting = { head, body, resolve, reject }
        const lane = idle.pop()
        if (lane === undefined) queue.push(waiting)
        else lane.run(waiting)
      })
    },
    close() {
      for (const lane of lanes) lane.socket.destroy()
    },
  }
}

type Lane = { socket: Socket; run(waiting: Waiting): void }

function openLane(socket: Socket, done: (lane: Lane) => void): Lane {
  let current: Waiting | undefined
  let received = ''
  const lane: Lane = {
    socket,
    run(waiting) {
      current = waiting
      received = ''
      socket.write(waiting.head + waiting.body)
    },
  }
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    received += chunk
    const headEnd = received.indexOf('\r\n\r\n')
    if (headEnd < 0 || current === undefined) return
    const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0)
    if (received.length < headEnd + 4 + length) return
    const finished = current
    current = undefined
    finished.resolve(Number(received.slice(9, 12)))
    done(lane)
  })
  socket.on('error', (error) => current?.reject(error))
  socket.on('close', () => current?.reject(new Error('the collector closed the connection')))
  return lane
}
