// The Postgres servers of a deployment: one, unless people's rows are spread over several by bucket range. The first (home)
// also has all that is no person's row: sources, keys, segments, campaigns, who an id means, merges, runs of the clock.
import { rangeOfProfile } from '../domain/buckets.ts'
import { connectSql, type Sql } from './sql.ts'

export type Servers = {
  home: Sql
  /** Each once, home first. */
  all: readonly Sql[]
  /** The Postgres schema, on every server. */
  namespace: string
  /** The number of the server that has a bucket range. */
  numberOfRange(range: number): number
  ofRange(range: number): Sql
  /** The server with the rows of a profile: its events, sessions, memberships, deliveries. A bucket will do. */
  of(profileId: number): Sql
}

/** `ranges` = the server of each bucket range; all on the first when not given. */
export function spreadOver(all: readonly [Sql, ...Sql[]], namespace: string, ranges: number[] = []): Servers {
  const [home] = all
  const byRange = ranges.map((number) => all[number] ?? home)
  const ofRange = (range: number) => byRange[range] ?? home
  return {
    home,
    all,
    namespace,
    numberOfRange: (range) => ranges[range] ?? 0,
    ofRange,
    of: (profileId) => ofRange(rangeOfProfile(profileId)),
  }
}

/** One pool of at most `max` connections a server, home first; nothing is connected yet. */
export function connectServers(options: {
  urls: { databaseUrl: string; shardDatabaseUrls: readonly string[] }
  namespace: string
  max: number
  applicationName: string
  statementTimeoutMs?: number
  idleTransactionTimeoutMs?: number
}): [Sql, ...Sql[]] {
  const { urls, ...rest } = options
  const connect = (url: string) => connectSql({ url, ...rest })
  return [connect(urls.databaseUrl), ...urls.shardDatabaseUrls.map(connect)]
}

export async function endAll(all: readonly Sql[], timeoutS: number): Promise<void> {
  await Promise.all(all.map((sql) => sql.end({ timeout: timeoutS })))
}

/** One page of what all servers have, each giving its own first `limit`, in the order of `compare`. */
export async function pageOfAll<Row>(
  servers: Servers,
  limit: number,
  read: (sql: Sql) => Promise<Row[]>,
  compare: (a: Row, b: Row) => number,
): Promise<Row[]> {
  const pages = await Promise.all(servers.all.map(read))
  const [only] = pages
  if (pages.length === 1 && only !== undefined) return only
  return pages.flat().sort(compare).slice(0, limit)
}
