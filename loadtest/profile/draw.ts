// The profile as a picture: a bar a pool, as long as its microseconds, in the colours of the parts. Pure.
import type { Shares } from './shares.ts'

type Row = { phase: string; stage: string; microseconds: number; shares: Shares }

const WIDTH = 900
const LEFT = 230
const BAR = 22
const GAP = 12
const COLOURS = [
  '#4e79a7',
  '#f28e2b',
  '#59a14f',
  '#e15759',
  '#76b7b2',
  '#edc948',
  '#b07aa1',
  '#ff9da7',
  '#9c755f',
  '#86bcb6',
]

/** Bars of one phase share a scale. */
export function drawProfile(rows: Row[]): string {
  const parts = [...new Set(rows.flatMap((row) => Object.keys(row.shares)))]
  const colourOf = (part: string) =>
    part === 'the rest' ? '#bab0ac' : (COLOURS[parts.indexOf(part) % COLOURS.length] ?? '#000')
  const phases = [...new Set(rows.map((row) => row.phase))]
  const longest = new Map(
    phases.map((phase) => [
      phase,
      Math.max(...rows.filter((row) => row.phase === phase).map((row) => row.microseconds)),
    ]),
  )
  const pieces: string[] = []
  let y = GAP
  for (const phase of phases) {
    pieces.push(text(10, y + 14, `${phase}: CPU µs an event`, 'bold'))
    y += BAR + 4
    for (const row of rows.filter((one) => one.phase === phase)) {
      const scale = (WIDTH - LEFT - 70) / (longest.get(phase) ?? 1)
      pieces.push(text(10, y + 15, row.stage))
      let x = LEFT
      for (const [part, share] of Object.entries(row.shares)) {
        const width = share * row.microseconds * scale
        pieces.push(
          `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" fill="${colourOf(part)}"><title>${escaped(part)}: ${(share * row.microseconds).toFixed(1)} µs</title></rect>`,
        )
        x += width
      }
      pieces.push(text(x + 6, y + 15, row.microseconds.toFixed(1)))
      y += BAR + GAP
    }
    y += GAP
  }
  const columns = 3
  parts.forEach((part, i) => {
    const x = 10 + (i % columns) * (WIDTH / columns)
    const line = y + Math.floor(i / columns) * 20
    pieces.push(
      `<rect x="${x}" y="${line}" width="12" height="12" fill="${colourOf(part)}"/>`,
      text(x + 18, line + 11, part),
    )
  })
  const height = y + Math.ceil(parts.length / columns) * 20 + GAP
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">\n<rect width="${WIDTH}" height="${height}" fill="#fff"/>\n${pieces.join('\n')}\n</svg>\n`
}

function text(x: number, y: number, content: string, weight = 'normal'): string {
  return `<text x="${x}" y="${y}" font-weight="${weight}">${escaped(content)}</text>`
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
