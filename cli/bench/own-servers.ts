// A stack of its own with the demo's source and segment, for whatever measures: brought up, worked on, and taken down again
// with all its data. Used by `millrace bench` and by the measurements of loadtest/.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { connectProducer, whenReady } from '../../queues/connection.ts'
import { type Config, readConfig } from '../../runtime/config.ts'
import { connectSql } from '../../store/sql.ts'
import { setUpDemo } from '../demo/setup.ts'
import { deleteServerData, localServersOf } from '../local/server-data.ts'
import { FREE_PORTS, startStack } from '../local/stack.ts'
import type { Bench } from './phases.ts'

const USERS = 10_000
/** What docker-compose.yml gives Postgres. */
export const AS_COMPOSE = { localPostgresBuffersMb: 512, localPostgresWalMb: 4096 }

type Options = {
  name: string
  env: NodeJS.ProcessEnv
  say: (text: string) => void
  config?: Partial<Config>
  processes?: string[][]
  postgresConnections?: number
  /** Aborted while they start, it takes down what stands; afterwards it is for `work` to look at it. */
  signal?: AbortSignal
}

/** `name` stands in the data folder and in the message ids. Every port is free, Redis may take 2 GB. */
export async function withOwnServers<T>(options: Options, work: (bench: Bench) => Promise<T>): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), `millrace-${options.name}-`))
  try {
    return await withServersIn(dataDir, options, work)
  } finally {
    for (const name of localServersOf(dataDir)) deleteServerData(join(dataDir, name))
    rmSync(dataDir, { recursive: true, force: true })
  }
}

async function withServersIn<T>(
  dataDir: string,
  { name, config: asked, ...start }: Options,
  work: (bench: Bench) => Promise<T>,
): Promise<T> {
  const own = { dataDir, ...FREE_PORTS, localRedisMaxmemoryMb: 2048 }
  const stack = await startStack({ config: readConfig({}, { ...own, ...asked }), ...start })
  const sql = connectSql({
    url: stack.config.databaseUrl,
    namespace: stack.config.namespace,
    max: 2,
    applicationName: name,
    statementTimeoutMs: 300_000,
  })
  const redis = connectProducer(stack.config.redisUrl)
  try {
    await whenReady(redis)
    const { writeKey } = await setUpDemo(sql, dataDir, Date.now())
    return await work({
      stack,
      sql,
      redis,
      writeKey,
      users: USERS,
      run: `${name[0]}${Date.now().toString(36)}`,
    })
  } finally {
    await sql.end({ timeout: 5 })
    redis.disconnect()
    for (const process of stack.processes) await process.stop()
    // At once: what it would still write to disk is thrown away.
    for (const server of [stack.postgres, ...stack.morePostgres]) await server?.destroy()
    await stack.stop()
  }
}

/** What a figure was measured on. */
export function machineText(): string {
  return `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`
}

/** And of what: the commit of the checkout. */
export function commitOf(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
    }).trim()
  } catch {
    return 'unknown'
  }
}
