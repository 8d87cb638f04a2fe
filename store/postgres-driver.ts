// postgres.js, with faults of 3.4.9 mended as it is loaded (porsager/postgres#1154, #1208): a statement that is
// written to a connection Postgres has just closed throws outside of every promise, which ends the process; what was
// still to be written on it keeps the next connection from saying hello; the word it closed with is told to the first
// query of the next connection; and one that is reset while the driver asks for array types ends the process, and leaves
// arrays as texts. And it writes without delay: the end of a COPY waited 40 ms for the acknowledgement of its rows.
// Used by store/sql.ts alone.
import { registerHooks } from 'node:module'

const FILE = '/postgres/src/connection.js'

/** From the driver's text to what it should say; the version is pinned, and a text that is not found fails the start. */
const MENDS: readonly (readonly [string, string])[] = [
  [
    'function nextWrite(fn) {\n',
    "function nextWrite(fn) {\n    if (socket === null) { chunk = nextWriteTimer = null; error(Errors.connection('CONNECTION_CLOSED', options, socket)); return false }\n",
  ],
  [
    'clearImmediate(nextWriteTimer)\n    socket.removeListener',
    'clearImmediate(nextWriteTimer)\n    chunk = nextWriteTimer = null\n    socket.removeListener',
  ],
  ['      statements = {}\n', '      statements = {}\n      errorResponse = null\n'],
  ['new net.Socket()', 'new net.Socket().setNoDelay(true)'],
  ['return fetchArrayTypes()', 'return fetchArrayTypes().catch(() => { needsTypes = true })'],
]

const hooks = registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!url.endsWith(FILE)) return loaded
    if (!(loaded.source instanceof Uint8Array)) throw new Error(`${FILE} was not read as bytes`)
    return { ...loaded, source: mend(Buffer.from(loaded.source).toString()) }
  },
})

function mend(source: string): string {
  return MENDS.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`the mend of ${FILE} does not fit this version of it`)
    return text.replace(from, to)
  }, source)
}

export const { default: postgres } = await import('postgres')
hooks.deregister()
