// Postgres and Redis without the pools, for commands that must have the deployment to themselves: those that the
// environment names, or the embedded ones for as long as the command runs.
import { resolve } from 'node:path'
import type { Config } from '../../runtime/config.ts'
import { fail } from '../../runtime/errors.ts'
import type { CliIo } from '../io.ts'
import { claim } from './claim.ts'
import { addressesOfServers, startServers } from './stack.ts'

export type ServerAddresses = Pick<Config, 'databaseUrl' | 'shardDatabaseUrls' | 'redisUrl'>

/** Throws `conflict` while another deployment uses the data folder. */
export async function withServers<T>(
  config: Config,
  io: CliIo,
  work: (addresses: ServerAddresses) => Promise<T>,
): Promise<T> {
  if (config.databaseUrl !== '' && config.redisUrl !== '') return work(config)
  const dataDir = resolve(config.dataDir)
  const held = await claim(dataDir)
  if (held === undefined) throw fail('conflict', `another Millrace uses ${dataDir}: stop it first`)
  const standing: (() => Promise<unknown>)[] = [() => held.release()]
  try {
    const say = (line: string) => io.write(`  ${line}\n`)
    const servers = await startServers({ config, env: io.env, dataDir, say, standing })
    return await work(addressesOfServers(config, servers))
  } finally {
    for (const stop of standing.reverse()) await stop()
  }
}
