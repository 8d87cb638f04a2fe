// One at a time: a name on this machine that one process can hold, and that the system frees when its holder is gone,
// however it ended. Used for a data folder (two servers would write the same files) and for the fetch of Redis.
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Claim = { release(): Promise<void> }

/** The claim on `name`, or undefined while another process (or another caller in this one) holds it. */
export async function claim(name: string): Promise<Claim | undefined> {
  const path = addressOf(name)
  const held = await listen(path)
  if (held !== undefined || process.platform === 'linux') return held
  // A socket file of a holder that was killed stays: nobody answers behind it.
  if (await answers(path)) return undefined
  rmSync(path, { force: true })
  return listen(path)
}

/** On Linux a name in the abstract namespace, which needs no file; elsewhere a socket in the user's temporary folder. */
function addressOf(name: string): string {
  const hash = createHash('sha256').update(`${process.getuid?.()} ${name}`).digest('hex').slice(0, 24)
  return process.platform === 'linux' ? `\0millrace-${hash}` : join(tmpdir(), `millrace-${hash}.sock`)
}

function listen(path: string): Promise<Claim | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    )
    server.listen(path, () => {
      server.unref()
      resolve({ release: () => new Promise((done) => server.close(() => done())) })
    })
  })
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('close', () => socket.destroy())
  })
}
