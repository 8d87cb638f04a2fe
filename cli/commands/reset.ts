// millrace reset --yes: deletes all data of this deployment: the Postgres schema, its keys in Redis, and what it keeps in
// the data folder. Refuses while anything of it runs.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { countWorkers } from '../../queues/activity.ts'
import { connectProducer, whenReady } from '../../queues/connection.ts'
import { eraseNamespace } from '../../queues/erase.ts'
import { allQueueNames } from '../../queues/pipeline.ts'
import type { Config } from '../../runtime/config.ts'
import { fail } from '../../runtime/errors.ts'
import { dropSchema, otherSessions } from '../../schema/drop.ts'
import { parseOptions } from '../args.ts'
import { databaseUrls, findConfig, placeOf } from '../connect.ts'
import type { CliIo } from '../io.ts'
import { deleteServerData, localServersOf, placeOfServer } from '../local/server-data.ts'

/** What Millrace makes in its data folder; anything else there is not ours to delete. */
const OURS = ['archive', 'outbox', 'logs', 'demo.json', 'run.json', 'secrets.json']

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options } = parseOptions(args, { yes: 'boolean' })
  const { config, state } = findConfig(io)
  const dataDir = resolve(config.dataDir)
  if (state !== undefined) throw fail('conflict', `Millrace runs (pid ${state.pid}): stop it first`)
  const servers = localServersOf(dataDir)
  refuseLivingServers(dataDir, servers)
  const local = [...servers, ...OURS.filter((name) => existsSync(join(dataDir, name)))]
  const targets = [
    ...remoteDatabases(config).map((url) => `schema ${config.namespace} in Postgres at ${placeOf(url)}`),
    ...(config.redisUrl === ''
      ? []
      : [`keys of ${config.namespace} in Redis at ${placeOf(config.redisUrl)}`]),
    ...local.map((name) => join(dataDir, name)),
  ]
  if (targets.length === 0) {
    io.write(`There is nothing to delete in ${dataDir}.\n`)
    return 0
  }
  const list = targets.map((target) => `  ${target}\n`).join('')
  if (!options.yes) {
    io.write(`This would delete:\n${list}Nothing was deleted: add --yes to do it.\n`)
    return 2
  }
  await deleteRemote(config)
  for (const server of servers) deleteServerData(join(dataDir, server))
  for (const name of OURS) rmSync(join(dataDir, name), { recursive: true, force: true })
  io.write(`Deleted:\n${list}`)
  return 0
}

function remoteDatabases(config: Config): string[] {
  return databaseUrls(config).filter((url) => url !== '')
}

/** Looks at both stores before it deletes from either. */
async function deleteRemote(config: Config): Promise<void> {
  for (const url of remoteDatabases(config)) {
    const sessions = await otherSessions(url)
    if (sessions.length > 0)
      throw fail('conflict', `still connected: ${sessions.join(', ')}. Stop them first`)
  }
  if (config.redisUrl !== '') {
    const redis = connectProducer(config.redisUrl)
    try {
      await whenReady(redis)
      const workers = await countWorkers(redis, config.namespace, allQueueNames(config.shards))
      const busy = [...(workers ?? [])].filter(([, count]) => count > 0).map(([queue]) => queue)
      if (busy.length > 0)
        throw fail('conflict', `workers are running on ${busy.join(', ')}. Stop them first`)
      await eraseNamespace(redis, config.namespace)
    } finally {
      redis.disconnect()
    }
  }
  for (const url of remoteDatabases(config)) await dropSchema(url, config.namespace)
}

/** Local servers that outlived their `start` still write to what would be deleted. */
function refuseLivingServers(dataDir: string, servers: string[]): void {
  const notes = [
    join(dataDir, 'redis', 'redis.pid'),
    ...servers.map((name) => join(placeOfServer(join(dataDir, name)) ?? '', 'data', 'postmaster.pid')),
  ]
  for (const note of notes) {
    const pid = existsSync(note) ? Number(readFileSync(note, 'utf8').split('\n')[0]) : 0
    if (pid > 0 && isServer(pid)) {
      throw fail(
        'conflict',
        `a local server of this data folder still runs (pid ${pid}): end it first (kill ${pid})`,
      )
    }
  }
}

function isServer(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return (
      process.platform !== 'linux' ||
      /redis|valkey|postgres/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
    )
  } catch {
    return false
  }
}
