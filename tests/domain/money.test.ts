// Money as integers: exact for every decimal that can be written, and never a guess.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { exponentOf, normaliseCurrency, toMinorUnits } from '../../domain/money.ts'

describe('money', () => {
  test.each([
    [19.99, 'USD', 1999n],
    ['19.99', 'USD', 1999n],
    [0.1 + 0.2, 'USD', 30n],
    [1.005, 'USD', 101n],
    ['1.005', 'USD', 101n],
    ['-1.005', 'USD', -101n],
    ['1.0049999', 'USD', 100n],
    [1234, 'JPY', 1234n],
    [1234.5, 'JPY', 1235n],
    ['1.2345', 'KWD', 1235n],
    [1e21, 'USD', undefined],
    [1e-7, 'USD', 0n],
    ['.5', 'USD', 50n],
    ['5.', 'USD', 500n],
    ['+7', 'USD', 700n],
    [-0, 'USD', 0n],
    ['9999999999999999.99', 'USD', 999999999999999999n],
    ['10000000000000000', 'USD', undefined],
    ['1,234.50', 'USD', undefined],
    ['$5', 'USD', undefined],
    ['', 'USD', undefined],
    ['.', 'USD', undefined],
    ['0x10', 'USD', undefined],
    [Number.NaN, 'USD', undefined],
    [Number.POSITIVE_INFINITY, 'USD', undefined],
    [true, 'USD', undefined],
    [{}, 'USD', undefined],
  ])('%s in %s is %s minor units', (value, currency, minor) => {
    expect(toMinorUnits(value, currency)).toBe(minor)
  })

  test('any amount of minor units comes back from its decimal text, in every exponent', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }),
        fc.constantFrom('USD', 'JPY', 'BHD', 'CLF', 'EUR'),
        (minor, currency) => {
          const digits = exponentOf(currency)
          const text = (minor < 0n ? -minor : minor).toString().padStart(digits + 1, '0')
          const decimal = digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`
          return toMinorUnits(minor < 0n ? `-${decimal}` : decimal, currency) === minor
        },
      ),
    )
  })

  test('a number and its own shortest text are the same money', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: -1e12, max: 1e12 }), (value) => {
        return toMinorUnits(value, 'USD') === toMinorUnits(String(value), 'USD')
      }),
    )
  })

  test('nothing that JSON can hold makes it throw', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), (value, currency) => {
        toMinorUnits(value, normaliseCurrency(currency) ?? 'USD')
      }),
    )
  })

  test('a currency is three letters in any case, USD when there is none', () => {
    expect(normaliseCurrency('eur')).toBe('EUR')
    expect(normaliseCurrency(' gbp ')).toBe('GBP')
    expect(normaliseCurrency(undefined)).toBe('USD')
    expect(normaliseCurrency(null)).toBe('USD')
    expect(normaliseCurrency('EURO')).toBeUndefined()
    expect(normaliseCurrency('€')).toBeUndefined()
    expect(normaliseCurrency(978)).toBeUndefined()
  })
})
