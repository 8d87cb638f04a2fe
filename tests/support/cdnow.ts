// The CDNOW purchases: 69,659 orders of 23,570 customers, 1997-01-01 to 1998-06-30, with published counts. The data is
// not part of the project (free for research, no licence): it is read where it lies beside the checkout, if it does.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FILE = fileURLToPath(new URL('../../../shared/data/cdnow/CDNOW_master.txt', import.meta.url))

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
        date: `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`,
        cds: Number(cds),
        dollars,
      }
    })
}

/** What is not as published, by name; empty when all of it is. */
export function mistakes(found: Figures): string[] {
  const entries = Object.entries(PUBLISHED)
  return entries.flatMap(([name, published]) => {
    const value = Reflect.get(found, name)
    return value === published ? [] : [`${name}: ${value} instead of ${published}`]
  })
}
