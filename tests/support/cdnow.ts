// The CDNOW purchases: 69,659 orders of 23,570 customers, 1997-01-01 to 1998-06-30, with published counts. The data is
// not part of the project (free for research, no licence): it is read where it lies beside the checkout, if it does.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const fileOf = (name: string) => fileURLToPath(new URL(`../../../shared/data/cdnow/${name}`, import.meta.url))
const FILE = fileOf('CDNOW_master.txt')

/** `dollars` is the text of the file. */
export type Purchase = { customer: string; date: string; cds: number; dollars: string }

export const PUBLISHED = {
  orders: 69_659,
  customers: 23_570,
  cents: 250_031_563,
  cds: 167_881,
  'at least 5 orders': 3_925,
  'at least 10 orders': 1_154,
  'at least $100': 6_234,
  'at least $500': 734,
  'an order within 30 days': 1_554,
  'an order within 90 days': 3_317,
}
export type Figures = typeof PUBLISHED

/** The purchases in the order of the file, or undefined where it is not there. */
export function readPurchases(): Purchase[] | undefined {
  if (!existsSync(FILE)) return undefined
  return readFileSync(FILE, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => {
      const [customer = '', date = '', cds = '', dollars = ''] = line.trim().split(/\s+/)
      return {
        customer,
        date: dayOf(date),
        cds: Number(cds),
        dollars,
      }
    })
}

/** What is published of a customer of the sample as of the end of calibration, 1997-09-30; in weeks. */
export type Summary = { customer: string; frequency: number; recency: number; T: number }

/** The systematic sample of a tenth of the customers, under numbers of its own; undefined where it is not there. */
export function readSample(): { purchases: Purchase[]; published: Summary[] } | undefined {
  const [file, summary] = [fileOf('CDNOW_sample.txt'), fileOf('cdnow_customers_summary.csv')]
  if (!existsSync(file) || !existsSync(summary)) return undefined
  const linesOf = (name: string) => readFileSync(name, 'utf8').trim().split('\n')
  const purchases = linesOf(file).map((line) => {
    const [, customer = '', date = '', cds = '', dollars = ''] = line.trim().split(/\s+/)
    return { customer: String(Number(customer)), date: dayOf(date), cds: Number(cds), dollars }
  })
  const published = linesOf(summary)
    .slice(1)
    .map((line) => {
      const [customer = '', frequency, recency, T] = line.trim().split(',')
      return { customer, frequency: Number(frequency), recency: Number(recency), T: Number(T) }
    })
  return { purchases, published }
}

function dayOf(digits: string): string {
  return `${digits.slice(0, 4)}-${digits.slice(4, 6)}-${digits.slice(6)}`
}

/** The same figures of some purchases, by plain counting; days as texts order as days do. */
export function figuresOf(purchases: Purchase[]): Figures {
  const byCustomer = [...Map.groupBy(purchases, (one) => one.customer).values()]
  const customers = (fits: (orders: Purchase[]) => boolean) => byCustomer.filter(fits).length
  const cents = (orders: Purchase[]) =>
    orders.reduce((sum, one) => sum + Math.round(Number(one.dollars) * 100), 0)
  return {
    orders: purchases.length,
    customers: byCustomer.length,
    cents: cents(purchases),
    cds: purchases.reduce((sum, one) => sum + one.cds, 0),
    'at least 5 orders': customers((orders) => orders.length >= 5),
    'at least 10 orders': customers((orders) => orders.length >= 10),
    'at least $100': customers((orders) => cents(orders) >= 10_000),
    'at least $500': customers((orders) => cents(orders) >= 50_000),
    'an order within 30 days': customers((orders) => orders.some((one) => one.date > '1998-05-30')),
    'an order within 90 days': customers((orders) => orders.some((one) => one.date > '1998-03-31')),
  }
}

/** What is not as expected, by name; empty when all of it is. */
export function mistakes(found: Figures, expected: Figures = PUBLISHED): string[] {
  return Object.entries(expected).flatMap(([name, wanted]) => {
    const value = Reflect.get(found, name)
    return value === wanted ? [] : [`${name}: ${value} instead of ${wanted}`]
  })
}
