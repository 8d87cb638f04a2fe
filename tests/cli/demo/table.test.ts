// The closing table of the demo.
import { expect, test } from 'vitest'
import { allAgree, formatTable, type TableRow } from '../../../cli/demo/table.ts'

const ROWS: TableRow[] = [
  { name: 'events sent', expected: 50_487, actual: 50_487 },
  { name: 'failed', expected: 0, actual: 3 },
]

test('aligns expected and actual counts, with a tick or a cross a row', () => {
  expect(formatTable(ROWS, { colours: false })).toBe(
    [
      '               expected   there',
      '  events sent    50,487  50,487  ✓',
      '  failed              0       3  ✗',
      '',
    ].join('\n'),
  )
})

test('colours only the marks, and only where colours are wanted', () => {
  const text = formatTable(ROWS, { colours: true })
  expect(text).toContain('\u001b[32m✓\u001b[0m')
  expect(text).toContain('\u001b[31m✗\u001b[0m')
  expect(formatTable(ROWS, { colours: false })).not.toContain('\u001b')
})

test('stays within the columns of the terminal', () => {
  const rows = [
    {
      name: 'a name that is much longer than any terminal would like it'.repeat(3),
      expected: 123_456,
      actual: 9,
    },
  ]
  for (const columns of [40, 80, 120]) {
    const widest = Math.max(
      ...formatTable(rows, { colours: false, columns })
        .split('\n')
        .map((line) => line.length),
    )
    expect(widest).toBeLessThanOrEqual(columns)
  }
})

test('agrees only when every row does', () => {
  expect(allAgree(ROWS)).toBe(false)
  expect(allAgree(ROWS.slice(0, 1))).toBe(true)
})
