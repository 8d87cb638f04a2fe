// The generated shop: people, products and what they do in 60 days, as ordinary Segment messages. Everything follows
// from the seed; the anchor (the end of the 60 days) only shifts the times. People browse anonymously, some log in, some
// buy a lot. Sessions never come near the 30-minute gap, and nothing lies near the edge of the 30-day window, so that
// counts do not depend on how long a run takes.

import { createRandom, type Random } from './mulberry.ts'
import { PEOPLE_NAMES, PRODUCT_WORDS, USER_AGENTS } from './shop-words.ts'

export type SegmentMessage = {
  messageId: string
  type: 'identify' | 'page' | 'track' | 'group'
  timestamp: string
  anonymousId: string
  userId?: string
  event?: string
  name?: string
  groupId?: string
  traits?: Record<string, unknown>
  properties?: Record<string, unknown>
  context: Record<string, unknown>
}

export type ShopOptions = {
  seed: number
  anchor: Date
  users?: number
  products?: number
  days?: number
  targetEvents?: number
}

type Product = { id: string; name: string; category: string; cents: number }
type Person = {
  number: number
  userId: string
  devices: Device[]
  traits: Record<string, unknown>
  /** Chance that a session ends in a purchase. */
  buys: number
  heavy: boolean
  loggedIn: Set<string>
}
type Device = { anonymousId: string; userAgent: string; neverLogsIn: boolean }
type Draft = Omit<SegmentMessage, 'messageId' | 'timestamp'> & { atMs: number; order: number }

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const EVENTS_A_SESSION = 8.4

/** All messages in the order of their times. */
export function generateShop(options: ShopOptions): SegmentMessage[] {
  const { seed, anchor, users = 1000, products = 100, days = 60, targetEvents = 50_000 } = options
  const random = createRandom(seed)
  const catalogue = Array.from({ length: products }, (_, i) => makeProduct(random, i))
  const people = Array.from({ length: users }, (_, i) => makePerson(random, i))
  const drafts: Draft[] = []
  const sessionsEach = targetEvents / users / EVENTS_A_SESSION
  for (const person of people) {
    for (const startMs of sessionStarts(random, {
      days,
      wanted: sessionsEach * (person.heavy ? 3.4 : 0.9),
      anchorMs: anchor.getTime(),
    })) {
      addSession(random, drafts, { person, catalogue, startMs })
    }
  }
  drafts.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
  return drafts.map(({ atMs, order: _, ...message }, i) => ({
    ...message,
    messageId: `demo-${seed}-${i}`,
    timestamp: new Date(atMs).toISOString(),
  }))
}

/** Sends about `share` of the messages once more, a little later, as a client with a bad connection does. */
export function withResends(messages: SegmentMessage[], share: number, seed: number): SegmentMessage[] {
  const random = createRandom(seed ^ 0x5eed)
  const out: SegmentMessage[] = []
  const later: { at: number; message: SegmentMessage }[] = []
  messages.forEach((message, i) => {
    out.push(message)
    if (random.chance(share)) later.push({ at: i + random.between(200, 2000), message })
    while (later[0] !== undefined && later[0].at <= i)
      out.push(...later.splice(0, 1).map((entry) => entry.message))
  })
  return [...out, ...later.map((entry) => entry.message)]
}

function makeProduct(random: Random, number: number): Product {
  const category = random.pick(PRODUCT_WORDS.categories)
  return {
    id: `p-${String(number + 1).padStart(3, '0')}`,
    name: `${random.pick(PRODUCT_WORDS.adjectives)} ${random.pick(PRODUCT_WORDS.nouns)}`,
    category,
    cents: random.between(900, 24_900),
  }
}

function makePerson(random: Random, number: number): Person {
  const id = String(number + 1).padStart(4, '0')
  const first = random.pick(PEOPLE_NAMES.first)
  const last = random.pick(PEOPLE_NAMES.last)
  const heavy = number % 14 === 0
  const devices = Array.from({ length: random.chance(0.4) ? 2 : 1 }, (_, i) => ({
    anonymousId: `anon-${id}-${i + 1}`,
    userAgent: random.pick(USER_AGENTS),
    // The first device always logs in, so that every person becomes known.
    neverLogsIn: i > 0 && random.chance(0.2),
  }))
  return {
    number,
    userId: `user-${id}`,
    devices,
    traits: {
      firstName: first,
      lastName: last,
      plan: random.pick(['free', 'plus', 'pro']),
      country: random.pick(['DE', 'FR', 'JP', 'US', 'BR']),
      ...(random.chance(0.95) ? { email: `${first}.${last}.${id}@shop.example`.toLowerCase() } : {}),
      ...(random.chance(0.6) ? { pushToken: `token-${id}` } : {}),
    },
    buys: heavy ? 0.92 : 0.08 + random.next() * 0.12,
    heavy,
    loggedIn: new Set(),
  }
}

/** Starts of sessions of one person, more than three hours apart, in the evening more often, away from the window's edge. */
function sessionStarts(
  random: Random,
  options: { days: number; wanted: number; anchorMs: number },
): number[] {
  const count = Math.max(1, Math.round(options.wanted + (random.next() - 0.5) * 2))
  const starts: number[] = []
  for (let tries = 0; starts.length < count && tries < count * 20; tries++) {
    const day = random.between(1, options.days)
    const hour = random.chance(0.6) ? random.between(17, 22) : random.between(7, 16)
    const startMs =
      options.anchorMs - day * DAY + hour * HOUR + random.between(0, 59) * MINUTE + random.between(0, 59_999)
    const nearEdge = Math.abs(startMs - (options.anchorMs - 30 * DAY)) < 6 * HOUR
    const tooLate = startMs > options.anchorMs - 4 * HOUR || startMs < options.anchorMs - options.days * DAY
    if (nearEdge || tooLate || starts.some((other) => Math.abs(other - startMs) < 4 * HOUR)) continue
    starts.push(startMs)
  }
  return starts.sort((a, b) => a - b)
}

function addSession(
  random: Random,
  drafts: Draft[],
  visit: { person: Person; catalogue: Product[]; startMs: number },
): void {
  const { person, catalogue } = visit
  const first = person.devices[0]
  const device = person.loggedIn.size === 0 && first !== undefined ? first : random.pick(person.devices)
  let known = person.loggedIn.has(device.anonymousId) && random.chance(0.8)
  let atMs = visit.startMs
  const campaign = random.chance(0.2)
    ? { name: random.pick(['spring-sale', 'newsletter', 'retargeting']), source: 'email' }
    : undefined
  const context = (path: string) => ({
    library: { name: 'demo', version: '1.0.0' },
    userAgent: device.userAgent,
    locale: person.number % 3 === 0 ? 'de-DE' : 'en-US',
    page: { path, url: `https://shop.example${path}` },
    ...(campaign === undefined ? {} : { campaign }),
  })
  const add = (message: Omit<Draft, 'atMs' | 'order' | 'anonymousId' | 'userId'>) => {
    const ids = { anonymousId: device.anonymousId, ...(known ? { userId: person.userId } : {}) }
    drafts.push({ ...message, ...ids, atMs, order: drafts.length })
    atMs += random.between(4_000, 150_000)
  }
  add({ type: 'page', name: 'Home', properties: { path: '/' }, context: context('/') })
  if (random.chance(0.4)) {
    const query = random.pick(PRODUCT_WORDS.nouns).toLowerCase()
    add({ type: 'track', event: 'Products Searched', properties: { query }, context: context('/search') })
  }
  const views = random.between(2, 6)
  const cart: Product[] = []
  for (let i = 0; i < views; i++) {
    const product = random.pick(catalogue)
    add({
      type: 'track',
      event: 'Product Viewed',
      properties: propertiesOf(product),
      context: context(`/p/${product.id}`),
    })
    if (!random.chance(0.35)) continue
    cart.push(product)
    add({
      type: 'track',
      event: 'Product Added',
      properties: { ...propertiesOf(product), quantity: 1 },
      context: context(`/p/${product.id}`),
    })
  }
  if (!known && !device.neverLogsIn && (person.loggedIn.size === 0 || random.chance(0.7))) {
    known = true
    person.loggedIn.add(device.anonymousId)
    add({ type: 'identify', traits: person.traits, context: context('/login') })
    if (person.number % 50 === 0)
      add({
        type: 'group',
        groupId: `company-${person.number}`,
        traits: { name: `Company ${person.number}` },
        context: context('/login'),
      })
  }
  if (known && random.chance(person.buys))
    addPurchase(random, add, { cart, catalogue, context, order: `${person.userId}-${drafts.length}` })
  else if (cart.length > 0 && random.chance(0.3)) {
    const [removed] = cart
    if (removed !== undefined)
      add({
        type: 'track',
        event: 'Product Removed',
        properties: propertiesOf(removed),
        context: context('/cart'),
      })
  }
}

function addPurchase(
  random: Random,
  add: (message: Omit<Draft, 'atMs' | 'order' | 'anonymousId' | 'userId'>) => void,
  purchase: {
    cart: Product[]
    catalogue: Product[]
    context: (path: string) => Record<string, unknown>
    order: string
  },
): void {
  const items = purchase.cart.length > 0 ? purchase.cart : [random.pick(purchase.catalogue)]
  const cents = items.reduce((sum, item) => sum + item.cents, 0)
  add({
    type: 'track',
    event: 'Checkout Started',
    properties: { value: cents / 100, currency: 'USD' },
    context: purchase.context('/checkout'),
  })
  add({
    type: 'track',
    event: 'Order Completed',
    properties: {
      order_id: purchase.order,
      revenue: cents / 100,
      currency: 'USD',
      products: items.map(propertiesOf),
    },
    context: purchase.context('/thanks'),
  })
}

function propertiesOf(product: Product): Record<string, unknown> {
  return {
    product_id: product.id,
    name: product.name,
    category: product.category,
    price: product.cents / 100,
    currency: 'USD',
  }
}
