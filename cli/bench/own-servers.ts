// A stack of its own with the demo's source and segment, for whatever measures: brought up, worked on, and taken down again
// with all its data. Used by `millrace bench` and by the measurements of loadtest/.
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { connectProducer, whenReady } from '../../queues/connection.ts'
import { type Config, readConfig } from '../../runtime/config.ts'
import { connectSql } from '../../store/sql.ts'
import { setUpDemo } from '../demo/setup.ts'
import { FREE_PORTS, startStack } from '../local/stack.ts'
import type { Bench } from './phases.ts'

const USERS = 10_000

/** `name` stands in the data folder and in the message ids. Every port is free, Redis may take 2 GB. */
export async function withOwnServers<T>(
  options: {
    name: string
    env: NodeJS.ProcessEnv
    say: (text: string) => void
    config?: Partial<Config>
    processes?: string[][]
    postgresConnections?: number
  },
  work: (bench: Bench) => Promise<T>,
): Promise<T> {
  const { name, config: asked, ...start } = options
  const dataDir = mkdtempSync(join(tmpdir(), `millrace-${name}-`))
  const config = readConfig(
    {},
    {
      dataDir,
      ...FREE_PORTS,
      localRedisMaxmemoryMb: 2048,
      ...asked,
    },
  )
  const stack = await startStack({ config, ...start })
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
    await stack.stop()
    await stack.postgres?.destroy()
    for (const server of stack.morePostgres) await server.destroy()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

/** What a figure was measured on. */
export function machineText(): string {
  return `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`
}
