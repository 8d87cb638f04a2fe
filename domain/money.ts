// Money as integers: decimal text -> minor units by the currency's exponent (ISO 4217), exactly, without float maths.

/** Exponents that are not 2. */
const EXPONENTS: Record<string, number> = {
  BIF: 0,
  CLP: 0,
  DJF: 0,
  GNF: 0,
  ISK: 0,
  JPY: 0,
  KMF: 0,
  KRW: 0,
  PYG: 0,
  RWF: 0,
  UGX: 0,
  UYI: 0,
  VND: 0,
  VUV: 0,
  XAF: 0,
  XOF: 0,
  XPF: 0,
  BHD: 3,
  IQD: 3,
  JOD: 3,
  KWD: 3,
  LYD: 3,
  OMR: 3,
  TND: 3,
  CLF: 4,
  UYW: 4,
}

export const DEFAULT_CURRENCY = 'USD'

/** Digits behind the point of a currency: 2 unless ISO 4217 says otherwise. */
export function exponentOf(currency: string): number {
  return EXPONENTS[currency] ?? 2
}

/** An ISO 4217 code in upper case; undefined when it is none, the default when it is missing. */
export function normaliseCurrency(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return DEFAULT_CURRENCY
  if (typeof value !== 'string') return undefined
  const code = value.trim().toUpperCase()
  return /^[A-Z]{3}$/.test(code) ? code : undefined
}

const DECIMAL = /^([+-]?)(\d{0,18})(?:\.(\d{0,30}))?(?:[eE]([+-]?\d{1,2}))?$/

/**
 * Minor units of a decimal number or text ("19.99" USD -> 1999n), half away from zero beyond the exponent. Undefined for
 * what is no plain decimal (thousands separators, currency signs, NaN) or too large for 18 digits.
 */
export function toMinorUnits(value: unknown, currency: string): bigint | undefined {
  if (typeof value === 'number' ? !Number.isFinite(value) : typeof value !== 'string') return undefined
  const match = DECIMAL.exec(String(value).trim())
  if (match === null) return undefined
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match
  if (whole === '' && fraction === '') return undefined
  const shift = exponentOf(currency) + Number(exponent) - fraction.length
  const digits = BigInt(`${whole}${fraction}`)
  const magnitude = shift >= 0 ? digits * 10n ** BigInt(shift) : roundHalfUp(digits, 10n ** BigInt(-shift))
  if (magnitude >= 10n ** 18n) return undefined
  return sign === '-' ? -magnitude : magnitude
}

function roundHalfUp(digits: bigint, divisor: bigint): bigint {
  return (digits * 2n + divisor) / (divisor * 2n)
}
