// millrace migrate: brings the database to the schema of this version. Safe to run from many places at once.
import { schemaVersion } from '../../schema/migrate.ts'
import { parseOptions } from '../args.ts'
import { findRunning, migrateAll } from '../connect.ts'
import type { CliIo } from '../io.ts'

export async function run(args: string[], io: CliIo): Promise<number> {
  parseOptions(args, {})
  const { config } = findRunning(io, ['databaseUrl'])
  const applied = await migrateAll(config)
  const { applied: version } = await schemaVersion(config.databaseUrl, config.namespace)
  io.write(
    applied === 0
      ? `The schema is up to date (version ${version}).\n`
      : `Applied ${applied} migrations; the schema is at version ${version}.\n`,
  )
  return 0
}
