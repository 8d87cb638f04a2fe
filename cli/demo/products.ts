// The products of the demo's generated shop: names out of a few words, prices in whole cents. Called by shop.ts.
import { createRandom } from './random.ts'

export type Product = {
  /** `product_id` of Segment's e-commerce spec. */
  id: string
  sku: string
  name: string
  brand: string
  category: string
  priceCents: number
}

const BRANDS = ['Harrow', 'Millbrook', 'Northfold', 'Ostara', 'Pell & Sons', 'Quarry']

const CATEGORIES = [
  { name: 'Kitchen', kinds: ['Kettle', 'Chef’s Knife', 'Cutting Board', 'Skillet'] },
  { name: 'Coffee', kinds: ['Grinder', 'Filter Cone', 'Espresso Beans', 'Travel Mug'] },
  { name: 'Garden', kinds: ['Pruning Shears', 'Watering Can', 'Herb Planter', 'Garden Gloves'] },
  { name: 'Home', kinds: ['Wool Blanket', 'Table Lamp', 'Linen Sheets', 'Wall Clock'] },
  { name: 'Outdoor', kinds: ['Rain Jacket', 'Day Pack', 'Camp Stove', 'Head Torch'] },
]

const STYLES = ['Classic', 'Compact', 'Large', 'Matte', 'Walnut', 'Copper', 'Everyday']

/** `count` products with ids `prod_001`…; every fifth is cheap ($4 to $29), every tenth dear ($180 to $480). */
export function generateProducts(seed: number, count: number): Product[] {
  const random = createRandom(seed, 'products')
  return Array.from({ length: count }, (_, index) => {
    const category = random.pick(CATEGORIES)
    const number = String(index + 1).padStart(3, '0')
    return {
      id: `prod_${number}`,
      sku: `${category.name.slice(0, 3).toUpperCase()}-${number}`,
      name: `${random.pick(STYLES)} ${random.pick(category.kinds)}`,
      brand: random.pick(BRANDS),
      category: category.name,
      priceCents: priceCents(random.int(0, 99), index),
    }
  })

  function priceCents(cents: number, index: number): number {
    const [low, high] = index % 5 === 0 ? [4, 29] : index % 10 === 1 ? [180, 480] : [15, 140]
    return random.int(low, high) * 100 + (cents % 2 === 0 ? 99 : cents)
  }
}
