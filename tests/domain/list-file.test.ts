// A list's CSV: which column has the ids, however the file is cut into pieces, and what is refused at which line.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createListReader, LIST_LIMITS, type ListLimits } from '../../domain/list-file.ts'
import { MillraceError } from '../../runtime/errors.ts'

function idsOf(pieces: string[], limits: Partial<ListLimits> = {}): string[] {
  const reader = createListReader({ ...LIST_LIMITS, ...limits })
  const ids = pieces.flatMap((piece) => reader.read(piece))
  return [...ids, ...reader.end()]
}

function refusal(text: string, limits: Partial<ListLimits> = {}): [string, string] | undefined {
  try {
    idsOf([text], limits)
  } catch (error) {
    if (error instanceof MillraceError) return [error.code, error.detail]
    throw error
  }
  return undefined
}

describe('the ids of a list', () => {
  test.each([
    ['one a line, without a header', 'ann\nbob\n', ['ann', 'bob']],
    ['the first column without a header', 'ann,1\r\nbob,2', ['ann', 'bob']],
    ['the column that is headed user_id', 'name,user_id,plan\nAnn,a-1,gold\nBob,b-2\n', ['a-1', 'b-2']],
    ['the column that is headed userId', '"n",userId\r"A, B",x\r', ['x']],
    ['quotes, commas and line ends within quotes', '"a ""b"", c"\r\n"d\r\ne"\r\n', ['a "b", c', 'd\r\ne']],
    ['spaces around what is not quoted, not within quotes', ' ann \n" bob "\n', ['ann', ' bob ']],
    ['blank lines and rows without an id', '\n\nuser_id,n\n\n,1\nann,2\n""\n', ['ann']],
    ['a header alone, which empties the list', 'user_id\n', []],
    ['a quote within what is not quoted', 'a"b\n', ['a"b']],
  ])('%s', (_, text, ids) => {
    expect(idsOf([text])).toEqual(ids)
    expect(idsOf([...text])).toEqual(ids)
  })

  test('are the same however they are written and cut', () => {
    const id = fc.string({
      minLength: 1,
      maxLength: 12,
      unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', '🎉'),
    })
    fc.assert(
      fc.property(
        fc.array(id, { minLength: 1, maxLength: 20 }),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.nat(200), { maxLength: 8 }),
        fc.boolean(),
        (ids, end, cuts, last) => {
          const rows = ids.map((one) => `x,"${one.replaceAll('"', '""')}","y"`)
          const text = `a,User ID,b${end}${rows.join(end)}${last ? end : ''}`
          const places = [
            0,
            ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b),
            text.length,
          ]
          const pieces = places.slice(1).map((to, i) => text.slice(places[i], to))
          expect(pieces.join('')).toBe(text)
          expect(idsOf(pieces)).toEqual(ids)
        },
      ),
    )
  })

  test('are counted, and so are rows without one', () => {
    const reader = createListReader()
    reader.read('user_id\nann\nann\n,\nbob')
    reader.end()
    expect(reader.counts()).toEqual({ rows: 3, skipped: 1 })
  })
})

test.each([
  ['a quote that is not closed', 'ann\n"bob\ncarl\n', 'malformed_csv', 'line 2: a quote is not closed'],
  ['text behind a quote', 'ann\n"bob"x\n', 'malformed_csv', 'line 2: behind a closing quote'],
  [
    'an id that is too long',
    `ann\r\nbob\r\n${'x'.repeat(257)}\r\n`,
    'malformed_csv',
    'line 3: a user id has more',
  ],
  ['a NUL', 'ann\nb\u0000b\n', 'malformed_csv', 'line 2: a NUL'],
  ['another separator', 'name;user_id\nAnn;a-1\n', 'malformed_csv', 'columns are separated by commas'],
  ['nothing at all', '\r\n\r\n', 'malformed_csv', 'there is no user id in it'],
  ['too many columns', `${',x'.repeat(200)}\n`, 'malformed_csv', 'line 1: a row has more than 200 columns'],
])('a list is refused for %s, by its line and without what stands there', (_, text, code, detail) => {
  expect(refusal(text)).toEqual([code, expect.stringContaining(detail)])
})

test('a list of more rows than the limit is refused, one of as many is not', () => {
  expect(refusal('user_id\n1\n2\n3\n', { rows: 3 })).toBeUndefined()
  expect(refusal('user_id\n1\n2\n2\n2\n', { rows: 3 })).toEqual([
    'payload_too_large',
    expect.stringContaining('3 rows'),
  ])
})

test('what is held of a row is bounded, however long its other columns are', () => {
  const reader = createListReader()
  reader.read('user_id,note\nann,"')
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 2_000; i++) reader.read('x'.repeat(65_536))
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(40_000_000)
  expect([...reader.read('"\nbob,1'), ...reader.end()]).toEqual(['ann', 'bob'])
})
