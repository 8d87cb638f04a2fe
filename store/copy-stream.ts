// A COPY into Postgres as a stream, with its failure where it can be heard. Used by events.ts and backup.ts.
import type { Writable } from 'node:stream'

/** `failed` rejects when Postgres refuses the rows or the connection is lost; whoever writes waits for both. */
export async function openCopyIn(copy: {
  writable(): Promise<Writable>
}): Promise<{ stream: Writable; failed: Promise<never> }> {
  const stream = await copy.writable()
  // The driver resolves the query when the stream opens and then reports a failed COPY to its spent `reject`, so that
  // nothing would ever settle: this is where we hear of it.
  const failed = new Promise<never>((_, reject) => {
    Object.assign(copy, { reject })
    stream.once('error', reject)
  })
  // When nobody waits for it any more it must not end the process.
  failed.catch(() => {})
  return { stream, failed }
}
