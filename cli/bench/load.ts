// Load for the benchmark: a shop's events with fresh ids, and a client that speaks HTTP on raw sockets, so that the
// generator costs little next to what it measures.
import { connect, type Socket } from 'node:net'

const NAMES = [
  'Product Viewed',
  'Product Added',
  'Products Searched',
  'Product Added',
  'Product Viewed',
  'Cart Viewed',
  'Product Viewed',
  'Product Viewed',
]
const AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
]

/** What sends: servers in batches (as the Segment Node SDK does), browsers one event a request. */
export type Sender = 'server' | 'browser'

/** One event of a known user as JSON text, as its sender writes it; `number` makes its id unique within `run`. */
export function eventText(
  sender: Sender,
  run: string,
  number: number,
  options: { users: number; nowMs: number },
): string {
  // Four events of one visit follow each other; visits jump about between all users.
  const visit = Math.floor(number / 4)
  const user = (visit * 7919) % options.users
  const product = (number * 31) % 100
  // One event in 32 is an order, at any user: about what shops see.
  const order = (Math.imul(number, 0x9e3779b1) >>> 16) % 32 === 0
  const name = order ? 'Order Completed' : NAMES[number % NAMES.length]
  const money = order ? `,"revenue":${19 + (number % 80)}.99,"currency":"USD"` : ''
  const said = `"messageId":"${run}-${number}","event":"${name}","userId":"user-${user}","timestamp":"${new Date(options.nowMs).toISOString()}","type":"track","properties":{"product_id":"p-${product}","name":"Product ${product}","category":"home","price":19.99,"quantity":1${money}}`
  return sender === 'server'
    ? `{${said},"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}},"integrations":{},"_metadata":{"nodeVersion":"24.21.0","jsRuntime":"node"}}`
    : `{${said},"anonymousId":"device-${user}","context":{"library":{"name":"analytics.js","version":"next-1.84.3"},"userAgent":"${AGENTS[user % 2]}","locale":"en-US","timezone":"Europe/Berlin","page":{"path":"/p/${product}","referrer":"","search":"","title":"Product ${product}","url":"https://shop.example/p/${product}"}},"integrations":{}}`
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
