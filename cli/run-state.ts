// The note that a running `start` leaves in its data folder, so that other commands find it: <dataDir>/run.json, 0600.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandOf } from './local/orphans.ts'

export type RunState = {
  pid: number
  databaseUrl: string
  redisUrl: string
  httpUrl: string
  dashboardUrl: string
  outboxUrl: string
  metrics: { pools: string[]; url: string }[]
  /** Environment that makes another process part of this deployment. */
  env: Record<string, string>
  secretKey?: string
  writeKey?: string
}

const fileOf = (dataDir: string) => join(dataDir, 'run.json')

export function writeRunState(dataDir: string, state: RunState): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  writeFileSync(fileOf(dataDir), JSON.stringify(state, null, 2), { mode: 0o600 })
}

/** The state of a `start` that is alive, or undefined. */
export function readRunState(dataDir: string): RunState | undefined {
  if (!existsSync(fileOf(dataDir))) return undefined
  const state: RunState = JSON.parse(readFileSync(fileOf(dataDir), 'utf8'))
  // After a crash of the machine the number may belong to a stranger.
  return /node|millrace/.test(commandOf(state.pid)) ? state : undefined
}

export function removeRunState(dataDir: string): void {
  rmSync(fileOf(dataDir), { force: true })
}
