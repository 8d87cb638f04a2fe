// The data of the local servers of a data folder: which there are, where they lie, and their removal once nothing runs. Used by
// `reset`, and by what brings up servers of its own for a while.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'

const LOCAL_SERVER = /^(postgres(-\d+)?|redis)$/

/** Names of the servers' folders in the data folder. */
export function localServersOf(dataDir: string): string[] {
  return (existsSync(dataDir) ? readdirSync(dataDir) : []).filter((name) => LOCAL_SERVER.test(name))
}

/** As root the data may live elsewhere; `location` says where (unprivileged.ts). */
export function placeOfServer(dir: string): string | undefined {
  const note = join(dir, 'location')
  if (!existsSync(note)) return existsSync(dir) ? dir : undefined
  const place = readFileSync(note, 'utf8').trim()
  return /^(server|millrace-[0-9a-f]{12})$/.test(basename(place)) ? place : undefined
}

export function deleteServerData(dir: string): void {
  const place = placeOfServer(dir)
  if (place !== undefined) rmSync(place, { recursive: true, force: true })
  rmSync(dir, { recursive: true, force: true })
}
