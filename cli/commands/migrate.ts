// millrace migrate: brings the database to the schema of this version. Safe to run from many places at once.
import { describeError, fail, MillraceError } from '../../runtime/errors.ts'
import { migrate, schemaVersion } from '../../schema/migrate.ts'
import { parseOptions } from '../args.ts'
import { findRunning, placeOf } from '../connect.ts'
import type { CliIo } from '../io.ts'

export async function run(args: string[], io: CliIo): Promise<number> {
  parseOptions(args, {})
  const { config } = findRunning(io, ['databaseUrl'])
  const applied = await migrate(config.databaseUrl, config.namespace).catch((cause: unknown) => {
    if (cause instanceof MillraceError) throw cause
    throw fail(
      'unavailable',
      `Postgres does not answer at ${placeOf(config.databaseUrl)} (${describeError(cause)})`,
      {
        cause,
      },
    )
  })
  const { applied: version } = await schemaVersion(config.databaseUrl, config.namespace)
  io.write(
    applied.length === 0
      ? `The schema is up to date (version ${version}).\n`
      : `Applied ${applied.length} migrations; the schema is at version ${version}.\n`,
  )
  return 0
}
