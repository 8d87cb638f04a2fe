// A deployment for tests of the command line: a world whose Postgres schema and Redis prefix are one namespace, as the
// environment of a shell would name it, and a way to run a command line and read what it printed.
import { Readable } from 'node:stream'
import type { CliIo } from '../../cli/io.ts'
import { runCli } from '../../cli/main.ts'
import { migrate } from '../../schema/migrate.ts'
import { connectSql } from '../../store/sql.ts'
import { testWorld } from './world.ts'

export type CliWorld = Awaited<ReturnType<typeof cliWorld>>

export async function cliWorld() {
  const world = await testWorld()
  await migrate(world.databaseUrl, world.namespace)
  const sql = connectSql({
    url: world.databaseUrl,
    namespace: world.namespace,
    max: 2,
    applicationName: 'test-cli',
  })
  const env = {
    DATABASE_URL: world.databaseUrl,
    REDIS_URL: world.redisUrl,
    MILLRACE_NAMESPACE: world.namespace,
    MILLRACE_DATA_DIR: world.config.dataDir,
    MILLRACE_SHARDS: String(world.config.shards),
    MILLRACE_HTTP_PORT: '0',
    MILLRACE_DASHBOARD_PORT: '0',
    MILLRACE_EXPORTER_PORT: '0',
    MILLRACE_OUTBOX_PORT: '0',
  }
  return {
    world,
    sql,
    env,
    millrace: (...args: string[]) => runMillrace(args, env),
    async close() {
      await sql.end({ timeout: 5 })
      await world.close()
    },
  }
}

type Outside = { input?: string; isTerminal?: boolean }

/** Runs a command line in this process; `input` is its standard input. */
export async function runMillrace(args: string[], env: NodeJS.ProcessEnv, outside: Outside = {}) {
  const { io, printed } = cliIo(env, outside)
  const code = await runCli(args, io)
  return { code, ...printed() }
}

/** The outside of a command, and what it has printed there. */
export function cliIo(env: NodeJS.ProcessEnv, outside: Outside = {}) {
  let out = ''
  let err = ''
  const io: CliIo = {
    write: (text) => {
      out += text
    },
    writeError: (text) => {
      err += text
    },
    written: async () => {},
    input: () => Readable.from([Buffer.from(outside.input ?? '')]),
    env,
    isTerminal: outside.isTerminal ?? false,
    columns: 120,
    colours: false,
  }
  return { io, printed: () => ({ out, err }) }
}
