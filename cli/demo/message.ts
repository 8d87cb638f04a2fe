// Makes the Segment message of one step in the demo's shop, as analytics.js or a mobile SDK would send it
// (https://segment.com/docs/connections/spec/ecommerce/v2/). Called by shop.ts; reads nothing but its arguments.
import type { Person } from './people.ts'
import { type Line, type Step, totalCents } from './script.ts'
import type { Visit } from './visits.ts'

export type SegmentMessage = {
  messageId: string
  type: 'identify' | 'page' | 'screen' | 'track' | 'group'
  /** When it happened: ISO 8601 in UTC, with ms. */
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

/** Where a visitor came from: the first message of a visit says it. */
export type Origin = { referrer?: string; campaign?: { name: string; source: string; medium: string } }

export type Moment = {
  messageId: string
  atMs: number
  anchorMs: number
  visit: Visit
  step: Step
  /** The owner of the device is logged in. */
  known: boolean
  /** Present on the first message of a visit. */
  origin: Origin | undefined
  /** Of this visit's order, if it has one. */
  orderId: string
}

const SITE = 'https://shop.example.com'
const FREE_SHIPPING_CENTS = 5_000
const SHIPPING_CENTS = 499

export function toMessage(moment: Moment): SegmentMessage {
  const { visit, step } = moment
  return {
    messageId: moment.messageId,
    ...callOf(moment),
    timestamp: new Date(moment.atMs).toISOString(),
    anonymousId: visit.device.anonymousId,
    ...(moment.known ? { userId: visit.person.userId } : {}),
    context: contextOf(visit, pathOf(step), moment.origin),
  }
}

/** The type and what belongs to it. */
function callOf(moment: Moment): Pick<SegmentMessage, 'type'> & Partial<SegmentMessage> {
  const { step, visit, anchorMs } = moment
  const { person, device } = visit
  switch (step.kind) {
    case 'identify': {
      const createdAt = new Date(anchorMs - person.accountAgeMs).toISOString()
      return { type: 'identify', traits: { ...person.traits, createdAt } }
    }
    case 'group': {
      const { id = '', ...traits } = person.company ?? {}
      return { type: 'group', groupId: id, traits }
    }
    case 'look':
      return device.client.kind === 'app'
        ? { type: 'screen', name: step.name, properties: {} }
        : { type: 'page', name: step.name, properties: pageOf(step.path, moment.origin) }
    case 'search':
      return { type: 'track', event: 'Products Searched', properties: { query: step.query } }
    case 'product':
      return { type: 'track', event: step.event, properties: lineOf(step.line) }
    case 'cart':
      return { type: 'track', event: step.event, properties: cartOf(step.event, step.lines, moment.orderId) }
  }
}

function cartOf(event: string, lines: Line[], orderId: string): Record<string, unknown> {
  const products = lines.map(lineOf)
  if (event === 'Cart Viewed') return { cart_id: `cart-${orderId}`, products }
  // Cents are whole until here, and dividing once gives the number that prints with two digits at most.
  const cents = totalCents(lines)
  const shippingCents = cents < FREE_SHIPPING_CENTS ? SHIPPING_CENTS : 0
  return {
    order_id: orderId,
    total: (cents + shippingCents) / 100,
    revenue: cents / 100,
    shipping: shippingCents / 100,
    currency: 'USD',
    products,
  }
}

function lineOf({ product, quantity }: Line): Record<string, unknown> {
  return {
    product_id: product.id,
    sku: product.sku,
    name: product.name,
    brand: product.brand,
    category: product.category,
    price: product.priceCents / 100,
    quantity,
    currency: 'USD',
  }
}

function pathOf(step: Step): string {
  switch (step.kind) {
    case 'look':
      return step.path
    case 'search':
      return '/search'
    case 'product':
      return `/p/${step.line.product.id}`
    case 'cart':
      return step.event === 'Cart Viewed' ? '/cart' : '/checkout'
    case 'identify':
    case 'group':
      return '/login'
  }
}

function contextOf(visit: Visit, path: string, origin: Origin | undefined): Record<string, unknown> {
  const { person, device } = visit
  const { client } = device
  const common = { library: client.library, userAgent: client.userAgent, ...placeOf(person) }
  if (client.kind === 'app') {
    return { ...common, app: { name: 'Mill Shop', version: '4.2.0' }, device: { model: client.device } }
  }
  const campaign = origin?.campaign === undefined ? {} : { campaign: origin.campaign }
  return { ...common, page: pageOf(path, origin), ...campaign }
}

function placeOf(person: Person): Record<string, string> {
  return { locale: person.locale, timezone: person.timezone }
}

function pageOf(path: string, origin: Origin | undefined): Record<string, string> {
  const campaign = origin?.campaign
  const search =
    campaign === undefined
      ? ''
      : `?utm_source=${campaign.source}&utm_medium=${campaign.medium}&utm_campaign=${campaign.name}`
  const referrer = origin?.referrer === undefined ? {} : { referrer: origin.referrer }
  return { path, url: `${SITE}${path}${search}`, search, title: 'Mill Shop', ...referrer }
}
