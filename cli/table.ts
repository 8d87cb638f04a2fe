// Plain tables and colours for a terminal. Pure: columns are as wide as their widest cell, numbers to the right.

export type Column = { title: string; align?: 'left' | 'right' }

/** Lines of a table, each ending in a newline. Cells may carry colours. */
export function table(columns: Column[], rows: string[][]): string {
  const widths = columns.map((column, i) =>
    Math.max(column.title.length, ...rows.map((row) => visibleLength(row[i] ?? ''))),
  )
  const line = (cells: string[]) =>
    `${columns
      .map((column, i) => pad(cells[i] ?? '', widths[i] ?? 0, column.align ?? 'left'))
      .join('  ')
      .trimEnd()}\n`
  return line(columns.map((column) => column.title)) + rows.map(line).join('')
}

const ESCAPE = String.fromCharCode(27)
const COLOURS = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const

/** Text in a colour; unchanged when the terminal shows none. */
export function paint(text: string, colour: keyof typeof COLOURS, on: boolean): string {
  return on ? `${ESCAPE}[${COLOURS[colour]}m${text}${ESCAPE}[0m` : text
}

/** Moves to the top left and clears below, for tables that are redrawn. */
export const REDRAW = `${ESCAPE}[H${ESCAPE}[J`

/** `850 ms`, `12 s`, `4 min`, `3 h`, `2 d`; `-` for none. */
export function shortAge(ms: number): string {
  if (ms <= 0) return '-'
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`
  return `${Math.round(ms / 86_400_000)} d`
}

/** Text of others with what would steer a terminal (escapes, line ends) made visible as one sign each. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '\ufffd')
}

/** `12,345`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** `1 profile`, `12,345 profiles`. */
export function counted(count: number, what: string): string {
  return `${formatCount(count)} ${what}${count === 1 ? '' : 's'}`
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, width - visibleLength(text)))
  return align === 'left' ? text + space : space + text
}

function visibleLength(text: string): number {
  return text.replaceAll(new RegExp(`${ESCAPE}\\[[0-9;]*m`, 'g'), '').length
}
