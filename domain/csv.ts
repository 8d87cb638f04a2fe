// CSV (RFC 4180) read piece by piece, cell by cell: lines end with CR LF, LF or CR. What is held is one cell, up to a limit.
// Refusals name the line and never what stands in it. Pure; used by domain/list-file.ts.
import { fail, type MillraceError } from '../runtime/errors.ts'

/** `text` is cut off behind `maxChars`; of a cell without quotes the spaces around it do not count. */
export type CsvCell = { text: string; column: number; line: number }
export type CsvReader = { read(text: string): void; end(): void }

const TOKENS = /[^,"\r\n]+|[,"\r\n]/g

type State = 'start' | 'plain' | 'quoted' | 'closed'

/** `onRow` comes after the cells of each row with its number of cells. Throws `malformed_csv`. */
export function createCsvReader(
  { maxChars, maxColumns }: { maxChars: number; maxColumns: number },
  on: { cell(cell: CsvCell): void; row(columns: number): void },
): CsvReader {
  let state: State = 'start'
  let text = ''
  let isQuoted = false
  let column = 0
  let line = 1
  let startLine = 1
  let afterReturn = false

  const take = (token: string) => {
    if (text === '') startLine = line
    text += token.slice(0, Math.max(0, maxChars + 1 - text.length))
  }
  const endCell = () => {
    if (column >= maxColumns) throw malformed(line, `a row has more than ${maxColumns} columns`)
    on.cell({ text: isQuoted ? text : text.trim(), column, line: startLine })
    column += 1
    text = ''
    isQuoted = false
    startLine = line
    state = 'start'
  }
  const endRow = () => {
    endCell()
    const columns = column
    column = 0
    on.row(columns)
  }
  const open = () => {
    isQuoted = true
    startLine = line
    state = 'quoted'
  }
  const step = (token: string) => {
    if (token.includes('\u0000')) throw malformed(line, 'a NUL cannot be stored')
    if (state === 'quoted') {
      if (token === '"') state = 'closed'
      else take(token)
    } else if (token === ',') endCell()
    else if (token === '\n' || token === '\r') endRow()
    else if (token === '"' && state === 'start') open()
    else if (token === '"' && state === 'closed') {
      state = 'quoted'
      take(token)
    } else if (state === 'closed') throw malformed(line, 'behind a closing quote comes a comma or a line end')
    else {
      state = 'plain'
      take(token)
    }
  }

  return {
    read(piece) {
      for (const [token] of piece.matchAll(TOKENS)) {
        const isSecondHalf = token === '\n' && afterReturn
        afterReturn = token === '\r'
        if (isSecondHalf && state !== 'quoted') continue
        step(token)
        if (!isSecondHalf && (token === '\n' || token === '\r')) line += 1
      }
    },
    end() {
      if (state === 'quoted') throw malformed(startLine, 'a quote is not closed')
      if (state !== 'start' || column > 0) endRow()
    },
  }
}

export function malformed(line: number, why: string): MillraceError {
  return fail('malformed_csv', `line ${line}: ${why}`)
}
