// The demo's generated shop: what its people do in 60 days, as ordinary Segment messages in the order of their times.
// Called by run-demo.ts. Everything follows from the seed; the anchor (the end of the 60 days) only shifts the times.
import { type Moment, type Origin, type SegmentMessage, toMessage } from './message.ts'
import { generatePeople } from './people.ts'
import { generateProducts, type Product } from './products.ts'
import { createRandom, type Random } from './random.ts'
import { writeScript } from './script.ts'
import { planVisits, type Visit } from './visits.ts'

export type ShopOptions = {
  seed: number
  /** No message is later than 5 minutes before it, or within 2 hours of 30 days before it. */
  anchor: Date
  users?: number
  products?: number
  days?: number
  targetEvents?: number
}

/** All messages of the shop. The same message id under another seed or anchor is another message. */
export function generateShop(options: ShopOptions): SegmentMessage[] {
  const { seed, anchor, users = 1000, products = 100, days = 60, targetEvents = 50_000 } = options
  const random = createRandom(seed, 'steps')
  const shelf = generateProducts(seed, products)
  const visits = planVisits(seed, generatePeople(seed, users), { days, targetEvents })
  const anchorMs = anchor.getTime()
  return visits
    .flatMap((visit, number) => liveVisit(random, visit, { number, shelf, anchorMs }))
    .sort((a, b) => a.atMs - b.atMs)
    .map((moment, number) => toMessage({ ...moment, messageId: `demo-${seed}-${number}` }))
}

/** The steps of a visit at their times; a sort that keeps the order of equals makes the whole deterministic. */
function liveVisit(
  random: Random,
  visit: Visit,
  shop: { number: number; shelf: Product[]; anchorMs: number },
): Omit<Moment, 'messageId'>[] {
  const steps = writeScript(random, visit, shop.shelf)
  const origin = drawOrigin(random, visit)
  const tells = visit.known
    ? 0
    : visit.identifies
      ? steps.findIndex((step) => step.kind === 'identify')
      : steps.length
  return steps.map((step, index) => ({
    step,
    visit,
    atMs: shop.anchorMs + (visit.timesMs[index] ?? 0),
    anchorMs: shop.anchorMs,
    known: index >= tells,
    origin: index === 0 ? origin : undefined,
    orderId: `order-${100_000 + shop.number}`,
  }))
}

function drawOrigin(random: Random, visit: Visit): Origin {
  const draw = random.next()
  if (visit.device.client.kind === 'app' || draw < 0.4) return {}
  if (draw < 0.75) return { referrer: 'https://www.google.com/' }
  return {
    campaign: random.pick([
      { name: 'autumn-sale', source: 'newsletter', medium: 'email' },
      { name: 'retargeting', source: 'instagram', medium: 'social' },
      { name: 'brand', source: 'google', medium: 'cpc' },
    ]),
  }
}
