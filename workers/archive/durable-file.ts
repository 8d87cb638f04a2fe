// Files that are there whole or not at all, also after a power cut: written aside, synced, renamed into place, and the
// folders synced. Called by the sinks of the archive pool.
import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Older unfinished files belong to no live process. */
const LEFTOVER_MS = 3_600_000

/** Resolves when `path` survives a crash; an earlier file of that name is replaced. `asideDir` is on the same disk. */
export async function writeDurably(path: string, asideDir: string, content: Buffer): Promise<void> {
  const folder = dirname(path)
  const firstMade = await mkdir(folder, { recursive: true })
  await mkdir(asideDir, { recursive: true })
  const aside = join(asideDir, randomUUID())
  try {
    const file = await open(aside, 'wx')
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(aside, path)
  } catch (error) {
    await rm(aside, { force: true })
    throw error
  }
  await syncFolder(folder)
  if (firstMade !== undefined) await syncParents(folder, dirname(firstMade))
}

/** Removes what a killed process left unfinished long ago; its jobs were handed to another. */
export async function removeLeftovers(asideDir: string): Promise<void> {
  await mkdir(asideDir, { recursive: true })
  for (const name of await readdir(asideDir)) {
    const path = join(asideDir, name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (Date.now() - mtimeMs > LEFTOVER_MS) await rm(path, { force: true })
  }
}

/** New folders are entries of their parents, which must be on disk too. */
async function syncParents(folder: string, last: string): Promise<void> {
  for (let parent = dirname(folder); parent.length >= last.length; parent = dirname(parent)) {
    await syncFolder(parent)
    if (parent === last) return
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
