// What a command is given of the outside: where to write, the environment, and what the terminal can do. Commands take
// it as an argument, so that tests can read what they print.

export type CliIo = {
  write(text: string): void
  writeError(text: string): void
  env: NodeJS.ProcessEnv
  /** Standard output is a terminal: progress may redraw in place. */
  isTerminal: boolean
  columns: number
  colours: boolean
}

export function processIo(): CliIo {
  const isTerminal = process.stdout.isTTY === true
  return {
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    env: process.env,
    isTerminal,
    columns: process.stdout.columns ?? 80,
    colours: isTerminal && process.env.NO_COLOR === undefined,
  }
}
