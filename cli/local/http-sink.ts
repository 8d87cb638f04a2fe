// What the HTTP sinks and the outbox share: listening on loopback, reading a body of bounded size, stopping at once.
import type { IncomingMessage, Server } from 'node:http'

const MAX_BODY_BYTES = 1_000_000

/** Listens on 127.0.0.1; port 0 = any free port. `stop` also ends connections that are kept alive. */
export async function listenLocally(
  server: Server,
  port: number,
): Promise<{ port: number; stop(): Promise<void> }> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve())
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** The whole body, or undefined when it is larger than 1 MB. */
export async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
