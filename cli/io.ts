// What a command is given of the outside: where to write, the environment, and what the terminal can do. Commands take
// it as an argument, so that tests can read what they print.

import { once } from 'node:events'

export type CliIo = {
  write(text: string): void
  writeError(text: string): void
  /** Resolves when what was written has gone on, for those who write more than should wait in memory. */
  written(): Promise<void>
  /** Standard input; a command that does not read it leaves it closed. */
  input(): AsyncIterable<Uint8Array>
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
    async written() {
      if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain')
    },
    input: () => process.stdin,
    env: process.env,
    isTerminal,
    columns: process.stdout.columns ?? 80,
    colours: isTerminal && process.env.NO_COLOR === undefined,
  }
}
