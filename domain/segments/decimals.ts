// Exact decimals: amounts are added and compared as they are written, never as binary fractions. Whole numbers stay
// plain numbers as long as they are exact, which nearly all are. Pure.
import type { Comparison } from '../../schema/rule.ts'

/** digits / 10^SCALE. */
type Scaled = bigint
const SCALE = 20
const UNIT = 10n ** BigInt(SCALE)

/** A threshold, ready to be compared with. */
export type Decimal = { readonly whole: number | undefined; readonly scaled: Scaled }

export function decimal(text: string): Decimal {
  const whole = Number(text)
  return {
    whole: Number.isSafeInteger(whole) ? whole : undefined,
    // Hardly ever needed, and dear.
    get scaled() {
      return scaledOf(text)
    },
  }
}

function orderOf(a: Scaled, b: Scaled): number {
  return a === b ? 0 : a > b ? 1 : -1
}

function scaledOf(text: string): Scaled {
  const plain = /e/i.test(text) ? withoutExponent(Number(text)) : text
  const [whole = '0', fraction = ''] = plain.replace('+', '').split('.')
  return BigInt(`${whole}${fraction.slice(0, SCALE).padEnd(SCALE, '0')}`)
}

/** A number that JavaScript writes with an exponent: large ones are whole, small ones lie below the last digit kept. */
function withoutExponent(value: number): string {
  return Math.abs(value) >= 1 ? BigInt(value).toString() : value.toFixed(SCALE)
}

/** A sum that values are added to and taken from. */
export type Total = {
  add(value: number): void
  remove(value: number): void
  /** Sign of the sum minus `times` × the threshold. */
  compare(threshold: Decimal, times?: number): number
  /** The sum, or its part of so many, as decimal text. */
  text(parts?: number): string
}

export function openTotal(): Total {
  let whole: number | undefined = 0
  let scaled: Scaled = 0n
  const change = (value: number, sign: 1 | -1) => {
    if (whole !== undefined) {
      const next: number = whole + sign * value
      if (Number.isSafeInteger(value) && Number.isSafeInteger(next)) {
        whole = next
        return
      }
      scaled = BigInt(whole) * UNIT
      whole = undefined
    }
    scaled += BigInt(sign) * scaledOf(String(value))
  }
  const sum = () => (whole === undefined ? scaled : BigInt(whole) * UNIT)
  return {
    add: (value) => change(value, 1),
    remove: (value) => change(value, -1),
    compare(threshold, times = 1) {
      if (whole !== undefined && threshold.whole !== undefined) {
        const wanted = threshold.whole * times
        if (Number.isSafeInteger(wanted)) return Math.sign(whole - wanted)
      }
      return orderOf(sum(), threshold.scaled * BigInt(times))
    },
    text: (parts = 1) => textOf(sum() / BigInt(parts)),
  }
}

/** Sign of whole / parts minus the threshold, without dividing: two whole numbers, `parts` above 0. */
export function compareQuotient(whole: number, parts: number, threshold: Decimal): number {
  if (threshold.whole !== undefined) {
    const wanted = threshold.whole * parts
    if (Number.isSafeInteger(wanted)) return Math.sign(whole - wanted)
  }
  return orderOf(BigInt(whole) * UNIT, threshold.scaled * BigInt(parts))
}

/** whole / parts as decimal text, cut off behind the last digit that is kept. */
export function quotientText(whole: number, parts: number): string {
  return textOf((BigInt(whole) * UNIT) / BigInt(parts))
}

/** The largest whole number that is not above `times` × the threshold. */
export function floorOf(threshold: Decimal, times: number): number {
  const scaled = threshold.scaled * BigInt(times)
  const whole = scaled / UNIT
  return Number(whole * UNIT > scaled ? whole - 1n : whole)
}

/** A decimal text times 10^by, cut off behind the last digit that is kept; `by` from -20 to 20. */
export function shifted(text: string, by: number): string {
  const factor = 10n ** BigInt(Math.abs(by))
  return textOf(by < 0 ? scaledOf(text) / factor : scaledOf(text) * factor)
}

/** What is still missing to a threshold, as decimal text. */
export function missingTo(threshold: string, value: string): string {
  return textOf(scaledOf(threshold) - scaledOf(value))
}

function textOf(scaled: Scaled): string {
  const digits = (scaled < 0n ? -scaled : scaled).toString().padStart(SCALE + 1, '0')
  const fraction = digits.slice(-SCALE).replace(/0+$/, '')
  return `${scaled < 0n ? '-' : ''}${digits.slice(0, -SCALE)}${fraction === '' ? '' : `.${fraction}`}`
}

export function compareNumber(value: number, threshold: Decimal): number {
  if (threshold.whole !== undefined && Number.isSafeInteger(value)) return Math.sign(value - threshold.whole)
  return orderOf(scaledOf(String(value)), threshold.scaled)
}

export function holdsFor(order: number, op: Comparison): boolean {
  switch (op) {
    case 'gt':
      return order > 0
    case 'gte':
      return order >= 0
    case 'lt':
      return order < 0
    case 'lte':
      return order <= 0
    case 'eq':
      return order === 0
    case 'ne':
      return order !== 0
  }
}
