// What to say when a name is mistyped: which one was perhaps meant, or what lists them. Used by the commands segments,
// lists and metrics.
import { MillraceError } from '../runtime/errors.ts'
import { nearest } from './args.ts'

/**
 * Runs `work`; when it ends in `not_found` of `field`, the error says which of the `known` names `name` is near. They are
 * asked for only then.
 */
export async function suggesting<T>(
  name: string,
  about: { field: string; known(): Promise<string[]>; lists: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const isIt = error instanceof MillraceError && error.code === 'not_found' && error.field === about.field
    if (!isIt) throw error
    const near = nearest(name, await about.known())
    const mend = near === undefined ? `${about.lists} lists them` : `did you mean ${near}?`
    throw new MillraceError(error.code, `${error.detail}; ${mend}`, { field: about.field, cause: error })
  }
}
