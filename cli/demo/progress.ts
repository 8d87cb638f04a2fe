// Progress in the terminal: a bar a stage, redrawn in place; without a terminal a plain line at every tenth. Pure over
// `write`.

export type Stage = { name: string; total: number }
export type Progress = {
  /** Sets how much of a stage is done; draws at most ten times a second. */
  set(stage: string, done: number): void
  /** Draws the last state and leaves it standing. */
  finish(): void
}

const MIN_REDRAW_MS = 100

export function createProgress(options: {
  write(text: string): void
  isTerminal: boolean
  columns: number
  stages: Stage[]
  now(): number
}): Progress {
  const { write, stages, now } = options
  const startedAt = now()
  const done = new Map(stages.map((stage) => [stage.name, 0]))
  const tenths = new Map(stages.map((stage) => [stage.name, 0]))
  let drawnLines = 0
  let drawnAt = 0

  const lineOf = (stage: Stage): string => {
    const value = done.get(stage.name) ?? 0
    const share = stage.total === 0 ? 1 : Math.min(1, value / stage.total)
    const width = Math.max(10, Math.min(40, options.columns - 46))
    const filled = Math.round(share * width)
    const seconds = Math.max(0.001, (now() - startedAt) / 1000)
    const rate = `${Math.round(value / seconds).toLocaleString('en-US')}/s`
    const count = `${value.toLocaleString('en-US')} of ${stage.total.toLocaleString('en-US')}`
    return `  ${stage.name.padEnd(10)} ${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${count.padStart(17)} ${rate.padStart(9)}`
  }

  const draw = () => {
    if (drawnLines > 0) write(`\u001b[${drawnLines}A`)
    for (const stage of stages) write(`\u001b[2K${lineOf(stage)}\n`)
    drawnLines = stages.length
    drawnAt = now()
  }

  const plain = (name: string) => {
    const stage = stages.find((one) => one.name === name)
    if (stage === undefined || stage.total === 0) return
    const tenth = Math.floor(((done.get(name) ?? 0) / stage.total) * 10)
    if (tenth <= (tenths.get(name) ?? 0)) return
    tenths.set(name, tenth)
    write(`  ${name}: ${Math.min(100, tenth * 10)} % (${(done.get(name) ?? 0).toLocaleString('en-US')})\n`)
  }

  return {
    set(name, value) {
      done.set(name, value)
      if (!options.isTerminal) plain(name)
      else if (now() - drawnAt >= MIN_REDRAW_MS) draw()
    },
    finish() {
      if (options.isTerminal) draw()
    },
  }
}
