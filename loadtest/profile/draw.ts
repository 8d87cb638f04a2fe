// The profile as a picture: a bar a pool, as long as its microseconds, in the colours of the parts. Pure.
import type { Shares } from './shares.ts'

type Row = { phase: string; stage: string; microseconds: number; shares: Shares }

const WIDTH = 900
const LEFT = 230
const BAR = 22
const GAP = 12
/** What an eye can tell apart; a part is of the first family that it fits, else of the last. */
const FAMILIES: [name: string, colour: string, parts: RegExp][] = [
  ["Millrace's own code", '#4e79a7', /^(collector|queues|domain|store|runtime|schema|cache|workers\/.+)$/],
  ['HTTP: Fastify and Node', '#f28e2b', /^(fastify|find-my-way|Node: _http_.+)$/],
  ['BullMQ and ioredis', '#59a14f', /^(bullmq|ioredis|msgpackr)$/],
  ['Postgres driver', '#b07aa1', /^postgres$/],
  ['writing to sockets', '#e15759', /^writing to sockets$/],
  ['deflate and inflate', '#76b7b2', /^Node: zlib$/],
  ['Node: streams, buffers, events', '#edc948', /^Node: .+$/],
  ['built-in functions', '#ff9da7', /^built-in functions$/],
  ['garbage collection', '#9c755f', /^garbage collection$/],
  ['the rest', '#bab0ac', /./],
]

/** Bars of one phase share a scale. */
export function drawProfile(rows: Row[]): string {
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
      for (const [name, colour, share] of familiesOf(row.shares)) {
        const width = share * row.microseconds * scale
        const title = `${name}: ${(share * row.microseconds).toFixed(1)} µs`
        pieces.push(
          `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" fill="${colour}"><title>${escaped(title)}</title></rect>`,
        )
        x += width
      }
      pieces.push(text(x + 6, y + 15, row.microseconds.toFixed(1)))
      y += BAR + GAP
    }
    y += GAP
  }
  const columns = 3
  FAMILIES.forEach(([name, colour], i) => {
    const x = 10 + (i % columns) * (WIDTH / columns)
    const line = y + Math.floor(i / columns) * 20
    pieces.push(
      `<rect x="${x}" y="${line}" width="12" height="12" fill="${colour}"/>`,
      text(x + 18, line + 11, name),
    )
  })
  const height = y + Math.ceil(FAMILIES.length / columns) * 20 + GAP
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">\n<rect width="${WIDTH}" height="${height}" fill="#fff"/>\n${pieces.join('\n')}\n</svg>\n`
}

/** Shares of the families, in their order; those without any are left out. */
function familiesOf(shares: Shares): [name: string, colour: string, share: number][] {
  const sums = new Map<string, number>()
  for (const [part, share] of Object.entries(shares)) {
    const family = FAMILIES.find(([, , parts]) => parts.test(part))?.[0] ?? ''
    sums.set(family, (sums.get(family) ?? 0) + share)
  }
  return FAMILIES.flatMap(([name, colour]) => {
    const share = sums.get(name)
    return share === undefined ? [] : [[name, colour, share]]
  })
}

function text(x: number, y: number, content: string, weight = 'normal'): string {
  return `<text x="${x}" y="${y}" font-weight="${weight}">${escaped(content)}</text>`
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
