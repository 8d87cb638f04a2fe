// postgres.js, with faults of 3.4.9 mended as it is loaded (porsager/postgres#1154, #1208): a statement that is
// written to a connection Postgres has just closed throws outside of every promise, which ends the process; what was
// still to be written on it keeps the next connection from saying hello; the word it closed with is told to the first
// query of the next connection; and one that is reset while the driver asks for array types ends the process, and leaves
// arrays as texts. And it writes without delay: the end of a COPY waited 40 ms for the acknowledgement of its rows. And of the connections that
// are free it takes the one that was used last, not the one that has rested longest: that one has its plans and catalogs at hand, and
// the others close.
// Used by store/sql.ts alone.
import { registerHooks } from 'node:module'

type Mends = readonly (readonly [string, string])[]

const CONNECTION: Mends = [
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

/** A query's connection, and a transaction's. */
const POOL: Mends = [
  ['return go(open.shift(), query)', 'return go(open.pop(), query)'],
  ['? open.shift()\n', '? open.pop()\n'],
]

const QUEUE: Mends = [['push: (x) =>', 'pop: () => xs.pop(),\n    push: (x) =>']]

/** From the driver's text to what it should say; the version is pinned, and a text that is not found fails the start. */
const FILES: readonly (readonly [string, Mends])[] = [
  ['/postgres/src/connection.js', CONNECTION],
  ['/postgres/src/index.js', POOL],
  ['/postgres/src/queue.js', QUEUE],
]

const hooks = registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    const [file, mends] = FILES.find(([name]) => url.endsWith(name)) ?? []
    if (file === undefined || mends === undefined) return loaded
    if (!(loaded.source instanceof Uint8Array)) throw new Error(`${file} was not read as bytes`)
    return { ...loaded, source: mend(file, mends, Buffer.from(loaded.source).toString()) }
  },
})

function mend(file: string, mends: Mends, source: string): string {
  return mends.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`the mend of ${file} does not fit this version of it`)
    return text.replace(from, to)
  }, source)
}

export const { default: postgres } = await import('postgres')
hooks.deregister()
