// The closing table: what was expected, what is there, and whether they agree. Pure.

export type TableRow = { name: string; expected: number; actual: number }

export function allAgree(rows: TableRow[]): boolean {
  return rows.every((row) => row.expected === row.actual)
}

export function formatTable(rows: TableRow[], options: { colours: boolean }): string {
  const number = (value: number) => value.toLocaleString('en-US')
  const width = Math.max(...rows.map((row) => row.name.length), 8)
  const paint = (text: string, code: number) => (options.colours ? `\u001b[${code}m${text}\u001b[0m` : text)
  const head = `  ${''.padEnd(width)}  ${'expected'.padStart(10)}  ${'there'.padStart(10)}`
  const lines = rows.map((row) => {
    const agrees = row.expected === row.actual
    const mark = agrees ? paint('✓', 32) : paint('✗', 31)
    return `  ${row.name.padEnd(width)}  ${number(row.expected).padStart(10)}  ${number(row.actual).padStart(10)}  ${mark}`
  })
  return `${[head, ...lines].join('\n')}\n`
}
