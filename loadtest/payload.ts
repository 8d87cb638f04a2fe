// What the load tests send: a shop's requests, built from a number alone, so that k6 (loadtest/k6/) and the Node driver
// (smoke.ts) send the very same and reconcile.ts can say what must be there. Pure text, no imports: k6 runs this file too.

/** `batch` = a server's SDK, many events of several visitors; `single` = a browser, one event; `spender` = one person's orders. */
export type Kind = 'batch' | 'single' | 'spender'

export type Built = {
  path: string
  body: string
  /** Events that must be kept, and events that must be refused one by one. */
  valid: number
  invalid: number
  /** Sum of the numbers of the valid events: with it a lost event cannot hide behind a strange one. */
  checksum: number
}

export type Shape = {
  /** Starts every message id and user id: [a-z0-9-]. */
  run: string
  /** Time of the events, ms. */
  nowMs: number
  /** Known visitors that come again and again. */
  users: number
  /** Events in a request of kind `batch`. */
  batchEvents: number
}

/** One batch in so many holds one event that no SDK should send. */
const INVALID_EVERY = 25
/** What makes a big spender of the demo's segment: more than 5 orders and more than $1,000 in 30 days. */
const SPENDER_ORDERS = 6
const SPENDER_REVENUE = 200
const KINDS: Kind[] = ['batch', 'single', 'spender']
const ROOM = 10_000

const STEPS = ['Product Viewed', 'Product Viewed', 'Product Added', 'Cart Viewed'] as const
const AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
]

/** The request with this number; the same number gives the same request, which may be sent twice. */
export function buildRequest(kind: Kind, request: number, shape: Shape): Built {
  // From 3 on: an event with the number 0 would be missing from no sum.
  const number = (index: number) => (request * ROOM + index + 1) * KINDS.length + KINDS.indexOf(kind)
  switch (kind) {
    case 'single':
      return built('/v1/track', [visitorEvent(number(0), request, shape, 'browser')], number)
    case 'spender':
      return built('/v1/batch', spenderEvents(number, request, shape), number)
    case 'batch': {
      const events = Array.from({ length: shape.batchEvents }, (_, index) =>
        visitorEvent(number(index), request * shape.batchEvents + index, shape, 'server'),
      )
      return built('/v1/batch', events, number, request % INVALID_EVERY === 0)
    }
  }
}

function built(
  path: string,
  events: string[],
  number: (index: number) => number,
  withInvalid = false,
): Built {
  let checksum = 0
  for (let index = 0; index < events.length; index++) checksum += number(index)
  const invalid = withInvalid ? ['{"type":"track","userId":"nobody"}'] : []
  const body = path === '/v1/batch' ? `{"batch":[${[...events, ...invalid].join(',')}]}` : (events[0] ?? '')
  return { path, body, valid: events.length, invalid: invalid.length, checksum }
}

/** Four steps of one visit follow each other; visits jump about between all visitors. One event in 32 is an order. */
function visitorEvent(number: number, step: number, shape: Shape, sender: 'server' | 'browser'): string {
  const user = (Math.floor(step / 4) * 7919) % shape.users
  const product = (step * 31) % 100
  const isOrder = step % 32 === 31
  const name = isOrder ? 'Order Completed' : (STEPS[step % 4] ?? STEPS[0])
  const money = isOrder ? `,"revenue":${19 + (step % 80)}.99,"currency":"USD"` : ''
  const properties = `{"product_id":"p-${product}","name":"Product ${product}","category":"home","price":19.99,"quantity":1${money}}`
  const said = `${idsOf(number, `user-${user}`, shape)},"type":"track","event":"${name}","properties":${properties}`
  return sender === 'server'
    ? `{${said},"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}}}`
    : `{${said},"anonymousId":"${shape.run}-device-${user}","context":{"library":{"name":"analytics.js","version":"next-1.84.3"},"userAgent":"${AGENTS[user % 2]}","locale":"en-US","page":{"path":"/p/${product}","title":"Product ${product}","url":"https://shop.example/p/${product}"}}}`
}

/** Somebody new who says where to be reached and buys enough to enter the segment: one message on each channel follows. */
function spenderEvents(number: (index: number) => number, request: number, shape: Shape): string[] {
  const user = `spender-${request}`
  const address = `${shape.run}-${user}`
  const identify = `{${idsOf(number(0), user, shape)},"type":"identify","traits":{"email":"${address}@load.example","pushToken":"${address}"}}`
  const orders = Array.from({ length: SPENDER_ORDERS }, (_, i) => {
    const properties = `{"order_id":"${address}-${i}","revenue":${SPENDER_REVENUE},"currency":"USD"}`
    return `{${idsOf(number(i + 1), user, shape)},"type":"track","event":"Order Completed","properties":${properties}}`
  })
  return [identify, ...orders]
}

function idsOf(number: number, user: string, { run, nowMs }: Shape): string {
  return `"messageId":"${run}-${number}","userId":"${run}-${user}","timestamp":"${new Date(nowMs).toISOString()}"`
}
