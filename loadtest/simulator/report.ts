// What a simulation shows: a table, and its course as lines of blocks or as an SVG drawing. Pure.
import { table } from '../../cli/table.ts'
import type { Result } from './run.ts'
import type { Scenario } from './scenarios.ts'

const BLOCKS = ' ▁▂▃▄▅▆▇█'
const WIDTH = 72

export function reportOf({ name, about }: Scenario, result: Result): string {
  const right = (title: string) => ({ title, align: 'right' as const })
  const rows = result.pools.map((one) => [
    one.pool,
    whole(one.worstBacklogJobs),
    seconds(one.worstAgeSeconds),
    `${one.minPods}-${one.maxPods}`,
    one.podHours.toFixed(1),
    String(one.changes),
    String(one.flaps),
  ])
  const columns = [
    { title: 'POOL' },
    right('WORST BACKLOG'),
    right('WORST AGE'),
    right('PODS'),
    right('POD HOURS'),
    right('CHANGES'),
    right('FLAPS'),
  ]
  return `${name}: ${about}\n\n${table(columns, rows)}\n${sumUp(result)}\n${courseOf(result)}`
}

function sumUp({ offered, accepted, refused, gaps, closed, drainedAfterSeconds }: Result): string {
  const share = offered === 0 ? 0 : (refused / offered) * 100
  const door = closed === undefined ? '' : `, door closed between ${closed.from} s and ${closed.to} s`
  return [
    `offered ${whole(offered)}, accepted ${whole(accepted)}, refused ${whole(refused)} (${share.toFixed(2)} %)${door}`,
    `archived later from Postgres ${whole(gaps)}`,
    drainedAfterSeconds === undefined
      ? 'NOT drained an hour after the end'
      : `drained ${drainedAfterSeconds} s after the end`,
    '',
  ].join('\n')
}

type Line = { name: string; values: number[]; max: number }

function linesOf({ series }: Result): Line[] {
  const line = (name: string, values: number[], max = Math.max(1, ...shrink(values, WIDTH))): Line => ({
    name,
    values,
    max,
  })
  const most = Math.max(1, ...shrink(series.offered, WIDTH))
  return [
    line('offered /s', series.offered, most),
    line('accepted /s', series.accepted, most),
    line('events held', series.backlog),
    ...[...series.pods]
      .filter(([, values]) => new Set(values).size > 1)
      .map(([pool, values]) => line(`${pool} pods`, values)),
  ]
}

/** A line of blocks a measure; the highest is named. */
function courseOf(result: Result): string {
  return linesOf(result)
    .map(({ name, values, max }) => {
      const blocks = shrink(values, WIDTH)
        .map((value) => BLOCKS[Math.ceil((value / max) * 8)] ?? '█')
        .join('')
      return `${name.padEnd(14)} ${blocks} ${whole(max)}\n`
    })
    .join('')
}

/** At most `width` values: the largest of each part. */
function shrink(values: number[], width: number): number[] {
  const size = Math.max(1, Math.ceil(values.length / width))
  const parts: number[] = []
  for (let from = 0; from < values.length; from += size) {
    let largest = 0
    for (const value of values.slice(from, from + size)) largest = Math.max(largest, value)
    parts.push(largest)
  }
  return parts
}

/** The same lines as a drawing, one below the other. */
export function drawingOf({ name, about }: Scenario, result: Result): string {
  const lines = linesOf(result)
  const [width, height, left] = [900, 70, 130]
  const drawn = lines.map((line, i) => {
    const top = 40 + i * (height + 10)
    const values = shrink(line.values, width - left)
    const points = values
      .map((value, x) => {
        const right = left + (x / Math.max(1, values.length - 1)) * (width - left - 10)
        return `${right.toFixed(1)},${(top + height - (value / line.max) * height).toFixed(1)}`
      })
      .join(' ')
    return `<text x="8" y="${top + 20}">${line.name}</text><text x="8" y="${top + 38}" fill="#777">max ${whole(line.max)}</text><line x1="${left}" x2="${width - 10}" y1="${top + height}" y2="${top + height}" stroke="#ccc"/><polyline points="${points}" fill="none" stroke="#2563eb" stroke-width="1.5"/>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${50 + lines.length * (height + 10)}" font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#fff"/><text x="8" y="22" font-weight="bold">${name}: ${about}</text>${drawn.join('')}</svg>\n`
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function seconds(value: number): string {
  return value < 1 ? '-' : `${Math.round(value)} s`
}
