// Progress in the terminal: a bar a stage with its count, rate and remaining time, redrawn in place; without a terminal
// a plain line at every tenth. Called by run-demo.ts. Pure over `write` and `now`; never starts a timer.

export type Stage = { name: string; total: number }
export type Progress = {
  /** Sets how much of a stage is done; draws at most ten times a second. */
  set(stage: string, done: number): void
  /** A line below the bars from the next time they are drawn; in a terminal alone. */
  note(text: string): void
  /** Draws the last state and leaves it standing. */
  finish(): void
}

type Look = { atMs: number; done: number }
type Line = Stage & {
  done: number
  /** Lately; the oldest and the newest give the present rate. */
  looks: Look[]
  /** When it began to move and when it was done: they give the rate that stays on the screen. */
  fromMs: number | undefined
  toMs: number | undefined
  /** Without a terminal: the last tenth and the last count that were said. */
  tenths: number
  said: number
}

const MIN_REDRAW_MS = 100
const RATE_SPAN_MS = 4_000
const ESCAPE = String.fromCharCode(27)
/** Everything on a line but its bar. */
const TEXT_COLUMNS = 56

/** `columns` of the terminal (80 when it does not say); lines are kept shorter, as one that wraps cannot be redrawn. */
export function createProgress(options: {
  write(text: string): void
  isTerminal: boolean
  columns: number
  stages: Stage[]
  now(): number
}): Progress {
  const { write, now } = options
  const columns = options.columns > 0 ? options.columns : 80
  const lines = new Map(options.stages.map((stage) => [stage.name, lineFor(stage)]))
  /** Lines that stand on the screen. */
  let drawn = 0
  let noted: string | undefined
  let drawnAtMs = Number.NEGATIVE_INFINITY

  const draw = () => {
    const bars = [...lines.values()].map((line) => formatLine(line, columns))
    const all = noted === undefined ? bars : [...bars, `  ${noted}`.slice(0, columns - 1)]
    // One write: a terminal must not show half of it.
    write(`${drawn === 0 ? '' : `${ESCAPE}[${drawn}A`}${all.map((text) => `${ESCAPE}[2K${text}\n`).join('')}`)
    drawn = all.length
    drawnAtMs = now()
  }

  return {
    set(name, done) {
      const line = lines.get(name)
      if (line === undefined) return
      advance(line, done, now())
      if (!options.isTerminal) sayTenth(line, write)
      else if (now() - drawnAtMs >= MIN_REDRAW_MS) draw()
    },
    note(text) {
      noted = text
    },
    finish() {
      if (options.isTerminal) draw()
      else for (const line of lines.values()) say(line, write)
    },
  }
}

function lineFor(stage: Stage): Line {
  return { ...stage, done: 0, looks: [], fromMs: undefined, toMs: undefined, tenths: 0, said: -1 }
}

function advance(line: Line, done: number, nowMs: number): void {
  if (done > 0) line.fromMs ??= line.looks.at(-1)?.atMs ?? nowMs
  if (done >= line.total) line.toMs ??= nowMs
  line.done = done
  line.looks.push({ atMs: nowMs, done })
  // The last one before the span stays, so that the looks always reach over all of it.
  while ((line.looks[1]?.atMs ?? nowMs) <= nowMs - RATE_SPAN_MS) line.looks.shift()
}

/** Per second: lately while it runs, over all of it when it is done. */
function rateOf(line: Line): number {
  if (line.fromMs === undefined) return 0
  if (line.toMs !== undefined) return perSecond(line.total, line.toMs - line.fromMs)
  const oldest = line.looks.at(0)
  const newest = line.looks.at(-1)
  if (oldest === undefined || newest === undefined) return 0
  return perSecond(newest.done - oldest.done, newest.atMs - oldest.atMs)
}

function perSecond(count: number, ms: number): number {
  return ms <= 0 ? 0 : (count * 1000) / ms
}

function shareOf(line: Line): number {
  return line.total === 0 ? 1 : Math.min(1, line.done / line.total)
}

function formatLine(line: Line, columns: number): string {
  const width = Math.max(0, Math.min(40, columns - TEXT_COLUMNS))
  const filled = Math.floor(shareOf(line) * width)
  const bar = `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`
  const count = `${format(line.done)} of ${format(line.total)}`
  const rate = `${format(Math.round(rateOf(line)))}/s`
  return `  ${line.name.padEnd(10)} ${bar} ${count.padStart(18)} ${rate.padStart(9)} ${leftOf(line).padStart(11)}`
    .slice(0, columns - 1)
    .trimEnd()
}

/** `12 s left`, `4 min left`, `done`; nothing while it is not known. */
function leftOf(line: Line): string {
  if (shareOf(line) === 1) return 'done'
  const rate = rateOf(line)
  if (rate <= 0) return ''
  const seconds = Math.ceil((line.total - line.done) / rate)
  if (seconds < 120) return `${seconds} s left`
  return seconds < 6_000 ? `${Math.round(seconds / 60)} min left` : ''
}

function sayTenth(line: Line, write: (text: string) => void): void {
  const tenths = Math.floor(shareOf(line) * 10)
  if (line.total === 0 || tenths <= line.tenths) return
  line.tenths = tenths
  say(line, write)
}

function say(line: Line, write: (text: string) => void): void {
  if (line.said === line.done) return
  line.said = line.done
  const rate = Math.round(rateOf(line))
  const percent = Math.floor(shareOf(line) * 100)
  const pace = rate > 0 ? `, ${format(rate)}/s` : ''
  write(`  ${line.name}: ${percent} %, ${format(line.done)} of ${format(line.total)}${pace}\n`)
}

function format(value: number): string {
  return value.toLocaleString('en-US')
}
