// Commands that have commands of their own, such as `millrace segments show`: a table of verbs, each with the arguments
// and options it takes. A new one is a row in its command's table and one in its help, which a test compares.
import { fail } from '../runtime/errors.ts'
import { nearest, type OptionTypes, type Parsed, parseOptions } from './args.ts'
import type { CliIo } from './io.ts'

export type Verb = {
  /** As help writes them: `SLUG [USER]`. */
  takes: string
  run(args: string[], io: CliIo): Promise<number>
}
export type Call<Types extends OptionTypes> = {
  /** One text for each name in `takes`; '' where it is in brackets and was left out. */
  names: string[]
  options: Parsed<Types>['options']
  io: CliIo
}

/** `act` resolves with the exit code. */
export function verb<const Types extends OptionTypes>(
  takes: string,
  types: Types,
  act: (call: Call<Types>) => Promise<number>,
): Verb {
  const wanted = takes === '' ? [] : takes.split(' ')
  return {
    takes,
    async run(args, io) {
      const { options, positionals } = parseOptions(args, types, wanted.length)
      const names = wanted.map((name, i) => {
        const text = positionals[i] ?? ''
        if (text === '' && !name.startsWith('[')) throw fail('invalid_request', `${name} is missing`)
        return text
      })
      return act({ names, options, io })
    },
  }
}

/** Runs the verb that `args` begin with; without one, `list`. */
export async function runVerb(
  command: string,
  verbs: Record<string, Verb>,
  args: string[],
  io: CliIo,
): Promise<number> {
  const [first = 'list', ...rest] = args[0]?.startsWith('-') === true ? ['list', ...args] : args
  const found = Object.hasOwn(verbs, first) ? verbs[first] : undefined
  if (found !== undefined) return found.run(rest, io)
  const known = Object.keys(verbs)
  const near = nearest(first, known)
  throw fail(
    'invalid_request',
    `${command} cannot ${first}: ${near === undefined ? known.join(', ') : `did you mean ${near}?`}`,
  )
}
