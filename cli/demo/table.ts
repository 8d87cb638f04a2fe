// The closing table of the demo: what was expected, what is there, and whether they agree. Called by run-demo.ts. Pure.
import { paint, table } from '../table.ts'

export type TableRow = { name: string; expected: number; actual: number }

const NUMBER_COLUMNS = 31

export function allAgree(rows: TableRow[]): boolean {
  return rows.every(agrees)
}

/** Lines with a tick or a cross each, at most `columns` wide: names that are too long end in an ellipsis. */
export function formatTable(rows: TableRow[], options: { colours: boolean; columns?: number }): string {
  const room = Math.max(8, (options.columns ?? 80) - NUMBER_COLUMNS)
  const text = table(
    [
      { title: '' },
      { title: 'expected', align: 'right' },
      { title: 'there', align: 'right' },
      { title: ' ' },
    ],
    rows.map((row) => [
      row.name.length <= room ? row.name : `${row.name.slice(0, room - 1)}…`,
      row.expected.toLocaleString('en-US'),
      row.actual.toLocaleString('en-US'),
      agrees(row) ? paint('✓', 'green', options.colours) : paint('✗', 'red', options.colours),
    ]),
  )
  return text.replaceAll(/^(?=.)/gm, '  ')
}

function agrees(row: TableRow): boolean {
  return row.expected === row.actual
}
