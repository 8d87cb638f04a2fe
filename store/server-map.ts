// The stored map from bucket ranges to Postgres servers: written at the first start, checked at every other. Every server
// knows whose it is and which, so that addresses in another order cannot send rows where nobody looks for them.
import { randomUUID } from 'node:crypto'
import { BUCKET_RANGES } from '../domain/buckets.ts'
import { fail } from '../runtime/errors.ts'
import { type Servers, spreadOver } from './servers.ts'
import { inTransaction, type Queryable, type Sql, type Transaction } from './sql.ts'

const KEY = 'MILLRACE_SHARD_DATABASE_URLS'

/**
 * The server of each bucket range. Stores equal shares when nothing is stored yet. Throws `invalid_config` when what is
 * stored needs other servers than these, or one of them cannot take part in a transaction over several.
 */
export async function ensureServerMap(all: readonly [Sql, ...Sql[]]): Promise<number[]> {
  const [home, ...others] = all
  let ranges = await readServerMap(home)
  if (ranges.length === 0) {
    ranges = await inTransaction(home, (tx) => storeMap(tx, all.length))
  }
  const needed = Math.max(...ranges) + 1
  if (needed !== all.length) {
    throw fail(
      'invalid_config',
      `people's rows are on ${needed} Postgres server(s), the configuration makes it ${all.length}: set ${KEY} (or MILLRACE_LOCAL_POSTGRES_SERVERS) as it was; to spread them anew, millrace backup, then restore into a new deployment`,
    )
  }
  for (const sql of others) await mustPrepare(sql)
  if (others.length > 0) await checkServers(all)
  return ranges
}

/** The servers of a deployment by its stored map; throws as `ensureServerMap`. */
export async function findServers(all: readonly [Sql, ...Sql[]], namespace: string): Promise<Servers> {
  return spreadOver(all, namespace, await ensureServerMap(all))
}

/** Empty while none is stored. */
async function readServerMap(sql: Queryable): Promise<number[]> {
  const rows = await sql<{ server: number }[]>`select server from range_servers order by bucket_range`
  if (rows.length !== 0 && rows.length !== BUCKET_RANGES)
    throw new Error(`range_servers covers ${rows.length} of ${BUCKET_RANGES} ranges`)
  return rows.map((row) => row.server)
}

async function storeMap(tx: Transaction, servers: number): Promise<number[]> {
  await tx`select pg_advisory_xact_lock(hashtextextended(current_schema() || '.range-servers', 0))`
  const byAnother = await readServerMap(tx)
  if (byAnother.length > 0) return byAnother
  const [found] = await tx<{ people: boolean }[]>`select exists (select 1 from profiles) as people`
  // A deployment from before there was a map has everybody here.
  const spread = found?.people === true ? 1 : servers
  const ranges = Array.from({ length: BUCKET_RANGES }, (_, range) =>
    Math.floor((range * spread) / BUCKET_RANGES),
  )
  await tx`insert into range_servers ${tx(ranges.map((server, bucket_range) => ({ bucket_range, server })))}`
  return ranges
}

/** Writes into each server which one it is, or compares. */
async function checkServers(all: readonly [Sql, ...Sql[]]): Promise<void> {
  const { deployment } = await labelOf(all[0], { deployment: randomUUID(), number: 0 })
  for (const [number, sql] of all.entries()) {
    const found = await labelOf(sql, { deployment, number })
    if (found.deployment === deployment && found.number === number) continue
    const whose =
      found.deployment === deployment ? `server ${found.number} of this deployment` : `another deployment's`
    throw fail(
      'invalid_config',
      `the Postgres server at place ${number} of ${KEY} is ${whose}: put the addresses in the order they had`,
    )
  }
}

type Label = { deployment: string; number: number }

/** What the server says of itself; `wanted` when it said nothing yet. */
function labelOf(sql: Sql, wanted: Label): Promise<Label> {
  return inTransaction(sql, async (tx) => {
    const labelled = await tx`
      insert into this_server (deployment, number) values (${wanted.deployment}, ${wanted.number})
      on conflict (single) do nothing`
    if (labelled.count > 0) {
      await tx.unsafe(`alter sequence membership_change_numbers increment by ${MOST_SERVERS}`)
      await ownChangeNumbers(tx, wanted.number)
    }
    const [row] = await tx<Label[]>`select deployment, number from this_server`
    return row ?? wanted
  })
}

const MOST_SERVERS = 16

/**
 * A change's number is unique among all servers, since what is sent for it is named by it: each server gives every
 * sixteenth. Called again when the sequence was set to something else.
 */
export async function ownChangeNumbers(tx: Transaction, server: number): Promise<void> {
  await tx`
    select setval('membership_change_numbers',
      (nextval('membership_change_numbers') / ${MOST_SERVERS}::bigint + 1) * ${MOST_SERVERS}::bigint + ${server}::bigint)`
}

async function mustPrepare(sql: Sql): Promise<void> {
  const [row] = await sql<
    { most: number }[]
  >`select current_setting('max_prepared_transactions')::int as most`
  if ((row?.most ?? 0) === 0)
    throw fail(
      'invalid_config',
      `a server of ${KEY} has max_prepared_transactions = 0: set it to its max_connections, and restart it`,
    )
}
