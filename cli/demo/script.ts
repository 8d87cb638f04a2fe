// What somebody does during one visit to the demo's shop, as a list of steps: they look around, search, fill a cart, log
// in, buy. Called by shop.ts, which dates the steps; message.ts makes Segment messages of them.
import type { Habit } from './people.ts'
import type { Product } from './products.ts'
import type { Random } from './random.ts'
import type { Visit } from './visits.ts'

export type Line = { product: Product; quantity: number }

export type Step =
  | { kind: 'look'; name: string; path: string }
  | { kind: 'search'; query: string }
  | { kind: 'product'; event: 'Product Viewed' | 'Product Added' | 'Product Removed'; line: Line }
  | { kind: 'cart'; event: 'Cart Viewed' | 'Checkout Started' | 'Order Completed'; lines: Line[] }
  | { kind: 'identify' }
  | { kind: 'group' }

/**
 * What an order of a habit costs, in cents before shipping. `devoted` spends more than $1,000 in its 7 orders and
 * `lavish` in its 3; `thrifty` never does, not in 9.
 */
const BASKETS: Record<Habit, { pool: 'any' | 'cheap' | 'dear'; atLeastCents: number }> = {
  devoted: { pool: 'any', atLeastCents: 16_000 },
  lapsed: { pool: 'any', atLeastCents: 16_000 },
  lavish: { pool: 'dear', atLeastCents: 36_000 },
  thrifty: { pool: 'cheap', atLeastCents: 0 },
  casual: { pool: 'any', atLeastCents: 0 },
  browser: { pool: 'any', atLeastCents: 0 },
}
const CHEAP_CENTS = 3_000
const DEAR_CENTS = 18_000

/** Exactly as many steps as the visit has times; the first is always a page. */
export function writeScript(random: Random, visit: Visit, products: Product[]): Step[] {
  const telling: Step[] = visit.identifies ? [{ kind: 'identify' }] : []
  if (visit.identifies && visit.person.company !== undefined) telling.push({ kind: 'group' })
  const count = visit.timesMs.length
  return visit.buys
    ? purchase(random, { habit: visit.person.habit, products, telling, count })
    : browse(random, { products, telling, count })
}

function browse(random: Random, visit: { products: Product[]; telling: Step[]; count: number }): Step[] {
  const steps: Step[] = [landing(random, visit.products)]
  const cart: Line[] = []
  let seen: Product | undefined
  while (steps.length < visit.count - visit.telling.length) {
    const draw = random.next()
    const [oldest] = cart
    if (draw < 0.3) steps.push(lookAround(random, visit.products))
    else if (draw < 0.45 && seen !== undefined) {
      const line = { product: seen, quantity: random.chance(0.15) ? 2 : 1 }
      cart.push(line)
      steps.push({ kind: 'product', event: 'Product Added', line })
      seen = undefined
    } else if (draw < 0.5 && oldest !== undefined) {
      cart.shift()
      steps.push({ kind: 'product', event: 'Product Removed', line: oldest })
    } else if (draw < 0.58 && oldest !== undefined) {
      steps.push({ kind: 'cart', event: 'Cart Viewed', lines: [...cart] })
    } else {
      seen = random.pick(visit.products)
      steps.push({ kind: 'product', event: 'Product Viewed', line: { product: seen, quantity: 1 } })
    }
  }
  // Nobody logs in before having seen a page: there is always something anonymous first.
  steps.splice(random.int(1, steps.length), 0, ...visit.telling)
  return steps
}

function purchase(
  random: Random,
  visit: { habit: Habit; products: Product[]; telling: Step[]; count: number },
): Step[] {
  const lines = fillBasket(random, visit.habit, visit.products)
  const end: Step[] = [
    { kind: 'cart', event: 'Cart Viewed', lines },
    ...visit.telling,
    { kind: 'cart', event: 'Checkout Started', lines },
    { kind: 'cart', event: 'Order Completed', lines },
  ]
  const chosen: Step[] = lines.flatMap((line): Step[] => [
    { kind: 'product', event: 'Product Viewed', line: { product: line.product, quantity: 1 } },
    { kind: 'product', event: 'Product Added', line },
  ])
  const steps: Step[] = [landing(random, visit.products), ...chosen]
  while (steps.length < visit.count - end.length) {
    steps.splice(random.int(1, steps.length), 0, lookAround(random, visit.products))
  }
  return [...steps, ...end]
}

/** One line, or two when the second is another product; the last line's quantity makes up what is missing. */
function fillBasket(random: Random, habit: Habit, products: Product[]): Line[] {
  const { pool, atLeastCents } = BASKETS[habit]
  const shelf = products.filter(({ priceCents }) =>
    pool === 'cheap' ? priceCents < CHEAP_CENTS : pool === 'dear' ? priceCents >= DEAR_CENTS : true,
  )
  const first = random.pick(shelf)
  const second = random.pick(shelf)
  const lines = [first, ...(second === first || random.chance(0.5) ? [] : [second])].map((product) => ({
    product,
    quantity: 1,
  }))
  const last = lines.at(-1)
  while (last !== undefined && totalCents(lines) < atLeastCents) last.quantity += 1
  return lines
}

export function totalCents(lines: Line[]): number {
  return lines.reduce((sum, { product, quantity }) => sum + product.priceCents * quantity, 0)
}

function landing(random: Random, products: Product[]): Step {
  return random.chance(0.5) ? { kind: 'look', name: 'Home', path: '/' } : categoryPage(random, products)
}

function lookAround(random: Random, products: Product[]): Step {
  const draw = random.next()
  if (draw < 0.4) return categoryPage(random, products)
  if (draw < 0.75) return { kind: 'search', query: random.pick(products).name.toLowerCase() }
  return random.pick<Step>([
    { kind: 'look', name: 'Home', path: '/' },
    { kind: 'look', name: 'Offers', path: '/offers' },
    { kind: 'look', name: 'Delivery', path: '/help/delivery' },
  ])
}

function categoryPage(random: Random, products: Product[]): Step {
  const { category } = random.pick(products)
  return { kind: 'look', name: category, path: `/c/${category.toLowerCase()}` }
}
