// A list as it is uploaded: CSV of which one column has user ids, the one headed `user_id` or `userId`, else the first. Read
// piece by piece; what is held is one cell and the first row. Pure; called by api/list-upload.ts.
import { fail } from '../runtime/errors.ts'
import { type CsvCell, createCsvReader, malformed } from './csv.ts'

export const LIST_LIMITS = {
  /** Of the whole body. */
  bytes: 64 * 1024 * 1024,
  /** Rows with an id, repeats counted. */
  rows: 1_000_000,
  /** As long as an id in an event may be. */
  idChars: 256,
  columns: 200,
} as const

export type ListReader = {
  /** The ids that this piece completes. */
  read(text: string): string[]
  /** The id of a last row without a line end. Throws when the file is cut off, or has neither an id nor a header. */
  end(): string[]
  /** Rows with an id, repeats counted, and rows without. */
  counts(): { rows: number; skipped: number }
}

export type ListLimits = Record<keyof typeof LIST_LIMITS, number>

export function createListReader(limits: ListLimits = LIST_LIMITS): ListReader {
  /** Cells of the first row while it is read; nothing after it. */
  let first: CsvCell[] | undefined = []
  let wanted = 0
  let hasHeader = false
  let id: CsvCell | undefined
  let rows = 0
  let skipped = 0
  let found: string[] = []

  const keep = (cell: CsvCell | undefined) => {
    if (cell === undefined || cell.text === '') {
      skipped += 1
      return
    }
    if (cell.text.length > limits.idChars)
      throw malformed(cell.line, `a user id has more than ${limits.idChars} characters`)
    rows += 1
    if (rows > limits.rows) throw fail('payload_too_large', `the list has more than ${limits.rows} rows`)
    found.push(cell.text)
  }
  const csv = createCsvReader(
    { maxChars: limits.idChars, maxColumns: limits.columns },
    {
      cell(cell) {
        if (first !== undefined) first.push(cell)
        else if (cell.column === wanted) id = cell
      },
      row(columns) {
        const cells = first ?? (id === undefined ? [] : [id])
        const isBlank = columns === 1 && cells.every((cell) => cell.text === '')
        const isFirst = first !== undefined
        id = undefined
        if (isBlank) {
          if (isFirst) first = []
          return
        }
        first = undefined
        if (!isFirst) return keep(cells[0])
        const header = headerOf(cells)
        hasHeader = header !== undefined
        wanted = header ?? 0
        if (!hasHeader) keep(cells[0])
      },
    },
  )
  const completed = () => {
    const ids = found
    found = []
    return ids
  }
  return {
    read(text) {
      csv.read(text)
      return completed()
    },
    end() {
      csv.end()
      // By accident an empty file would send everybody out of the segments that ask about the list.
      if (rows === 0 && !hasHeader)
        throw fail(
          'malformed_csv',
          'there is no user id in it; to empty a list send its header alone, user_id',
        )
      return completed()
    },
    counts: () => ({ rows, skipped }),
  }
}

/** The column of user ids, if the row is a header that says so. */
function headerOf(cells: CsvCell[]): number | undefined {
  const column = cells.findIndex((cell) => isIdHeader(cell.text))
  if (column !== -1) return column
  if (cells.some((cell) => cell.text.split(/[;\t|]/).some(isIdHeader)))
    throw malformed(1, 'columns are separated by commas')
  return undefined
}

function isIdHeader(name: string): boolean {
  return name.toLowerCase().replace(/[\s_-]/g, '') === 'userid'
}
