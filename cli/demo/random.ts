// Seeded randomness for the demo's generated shop: same seed, same numbers, on every machine. Called by the other files
// of cli/demo only. Never reads Math.random or a clock, and is no source of secrets.

export type Random = {
  /** A number in [0, 1). */
  next(): number
  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number
  chance(probability: number): boolean
  /** One of the items; throws a RangeError on none. */
  pick<T>(items: readonly T[]): T
  /** The items in another order; the argument stays as it is. */
  shuffle<T>(items: readonly T[]): T[]
  /** `digits` hexadecimal digits. */
  hex(digits: number): string
  /** A UUID of version 4, as the SDKs make anonymous ids. */
  uuid(): string
}

/** A stream of its own for every (seed, label): a change in how one part draws leaves the other parts as they were. */
export function createRandom(seed: number, label: string): Random {
  let state = hash(`${seed}/${label}`)
  // mulberry32: 32 bits of state are plenty for a shop, and every operation is exact in JS.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1))
  const hex = (digits: number) => Array.from({ length: digits }, () => int(0, 15).toString(16)).join('')
  return {
    next,
    int,
    hex,
    chance: (probability) => next() < probability,
    pick(items) {
      for (const item of items.slice(int(0, items.length - 1))) return item
      throw new RangeError('there is nothing to pick from')
    },
    shuffle(items) {
      return items
        .map((item) => ({ item, rank: next() }))
        .sort((a, b) => a.rank - b.rank)
        .map(({ item }) => item)
    },
    uuid() {
      const variant = (8 + int(0, 3)).toString(16)
      return `${hex(8)}-${hex(4)}-4${hex(3)}-${variant}${hex(3)}-${hex(12)}`
    },
  }
}

/** FNV-1a over the UTF-16 units: the label only has to end up somewhere else, not to be secret. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value
}
