// What a process says of itself before a scrape: what it is, its CPU time and memory, and the room where its data folder is.
import { statfs } from 'node:fs/promises'
import type { Metrics } from './metrics.ts'

/** Notes what never changes, and returns what brings the rest up to date. */
export function describeProcess(
  metrics: Metrics,
  about: { version: string; runs: string[]; dataDir: string },
): () => Promise<void> {
  const runs = about.runs.join('+')
  metrics.buildInfo.set({ version: about.version, node: process.versions.node, runs }, 1)
  metrics.startSeconds.set(Math.round(Date.now() / 1000 - process.uptime()))
  return async () => {
    const { user, system } = process.cpuUsage()
    metrics.cpuSeconds.reset()
    metrics.cpuSeconds.inc((user + system) / 1e6)
    metrics.residentBytes.set(process.memoryUsage.rss())
    await measureDisk(metrics, about.dataDir)
  }
}

/** Not every container has a data folder: then there is nothing to say, rather than the size of its image. */
async function measureDisk(metrics: Metrics, dataDir: string): Promise<void> {
  try {
    const { bsize, blocks, bavail } = await statfs(dataDir)
    metrics.diskFreeBytes.set(bavail * bsize)
    metrics.diskSizeBytes.set(blocks * bsize)
  } catch {
    metrics.diskFreeBytes.remove()
    metrics.diskSizeBytes.remove()
  }
}
