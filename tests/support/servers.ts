// Vitest global setup: one real Postgres and one real Redis for the whole run, on free ports, with a migrated template
// database that each test file clones. Addresses reach the test files by `provide`. TEST_REDIS=cluster gives the same
// tests a cluster of three masters instead.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { createDatabase, startPostgres } from '../../cli/local/postgres.ts'
import { startRedis } from '../../cli/local/redis.ts'
import { migrate } from '../../schema/migrate.ts'
import { startRedisCluster } from './redis-cluster.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string
    redisUrl: string
  }
}

/** The schema of the template; test worlds use the same namespace inside their own database. */
export const TEST_NAMESPACE = 'millrace'

export default async function setup(project: TestProject) {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-test-'))
  const quiet = () => {}
  const [postgres, redis] = await Promise.all([
    startPostgres({
      dir: join(dir, 'postgres'),
      port: 0,
      maxConnections: 200,
      maxPreparedTransactions: 50,
      log: quiet,
    }),
    process.env.TEST_REDIS === 'cluster'
      ? startRedisCluster({ dir: join(dir, 'redis'), maxmemoryMb: 512 })
      : startRedis({ dir: join(dir, 'redis'), port: 0, maxmemoryMb: 1024, log: quiet, env: process.env }),
  ])
  await setFsync(postgres.url, 'off')
  await createDatabase(postgres.url, 'millrace_template')
  await migrate(databaseUrlFor(postgres.url, 'millrace_template'), TEST_NAMESPACE)
  project.provide('postgresUrl', postgres.url)
  project.provide('redisUrl', redis.url)
  return async () => {
    await Promise.all([postgres.destroy(), redis.stop()])
    await rm(dir, { recursive: true, force: true })
  }
}

/**
 * Of the server that all tests share, `off`: a clone of the template is a thousand files, which take 0.9 s to reach the disk and 0.1 s
 * without; a hundred test files have one. What outlives a crash is tested on servers of their own (tests/faults).
 */
export async function setFsync(serverUrl: string, value: 'on' | 'off'): Promise<void> {
  const client = new Client({ connectionString: serverUrl })
  await client.connect()
  await client.query(`alter system set fsync = ${value}`)
  await client.query('select pg_reload_conf()')
  await client.end()
}

export function databaseUrlFor(serverUrl: string, database: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${database}`
  return url.toString()
}
