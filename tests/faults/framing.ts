// Cuts a byte stream into the units of its protocol, so that the proxy can act between two of them: Redis commands,
// Postgres messages, or whatever arrives at once. Used by proxy.ts; never changes a byte.

/** `text` is what a rule is asked about: the words of a command, the kind of a message. */
export type Frame = { bytes: Buffer; text: string }
/** Takes what arrived, gives back the frames that are whole; the rest waits for the next chunk. */
export type Framer = (chunk: Buffer) => Frame[]

const MAX_WORD = 60
const MAX_TEXT = 2000

/** For HTTP and SMTP: one side speaks at a time, so a chunk is part of one message. */
export function chunks(): Framer {
  return (chunk) => [{ bytes: chunk, text: chunk.toString('latin1', 0, MAX_TEXT) }]
}

/** Redis commands as clients send them (arrays of bulk strings): `evalsha <sha> 14 {ns-ingest}:ingest:wait …`. */
export function redisCommands(): Framer {
  return framesBy(readCommand)
}

/** What Postgres says: `C COMMIT` for a finished command, else the letter of the message. */
export function postgresReplies(): Framer {
  return framesBy((buffer, from) => {
    if (buffer.length < from + 5) return undefined
    const end = from + 1 + buffer.readInt32BE(from + 1)
    if (buffer.length < end) return undefined
    const kind = String.fromCharCode(buffer[from] ?? 0)
    return { end, text: kind === 'C' ? `C ${buffer.toString('latin1', from + 5, end - 1)}` : kind }
  })
}

type Read = (buffer: Buffer, from: number) => { end: number; text: string } | undefined

function framesBy(read: Read): Framer {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    const buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const frames: Frame[] = []
    let from = 0
    for (let frame = read(buffer, from); frame !== undefined; frame = read(buffer, from)) {
      frames.push({ bytes: buffer.subarray(from, frame.end), text: frame.text })
      from = frame.end
    }
    rest = buffer.subarray(from)
    return frames
  }
}

function readCommand(buffer: Buffer, from: number): { end: number; text: string } | undefined {
  const head = lengthAt(buffer, from)
  if (head === undefined) return undefined
  const words: string[] = []
  let at = head.end
  for (let i = 0; i < head.length; i++) {
    const word = lengthAt(buffer, at)
    if (word === undefined || buffer.length < word.end + word.length + 2) return undefined
    words.push(buffer.toString('latin1', word.end, word.end + Math.min(word.length, MAX_WORD)))
    at = word.end + word.length + 2
  }
  return { end: at, text: words.join(' ').slice(0, MAX_TEXT) }
}

/** The number of a line like `*3` or `$12`, and where the line ends. */
function lengthAt(buffer: Buffer, from: number): { length: number; end: number } | undefined {
  const lineEnd = buffer.indexOf('\r\n', from, 'latin1')
  if (lineEnd === -1) return undefined
  return { length: Number(buffer.toString('latin1', from + 1, lineEnd)), end: lineEnd + 2 }
}
