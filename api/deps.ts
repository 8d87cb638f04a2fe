// What every route file of the API is given. Route file = `export function xRoutes(app, deps)`: schema + a few lines +
// a store call. The API never imports workers; changes that need work are sent to a queue.
import type { Cache } from '../cache/connect.ts'
import type { DepthSampler } from '../queues/depth.ts'
import type { Sender } from '../queues/sender.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import type { Log } from '../runtime/log.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Servers } from '../store/servers.ts'
import type { Sql } from '../store/sql.ts'

export type ApiDeps = {
  /** The connection home: everything that is no person's row. */
  sql: Sql
  /** For rows of people. */
  servers: Servers
  cache: Cache
  config: Config
  clock: Clock
  log: Log
  metrics: Metrics
  sender: Sender
  depth: DepthSampler
  /** How the outside reaches us, without a trailing slash: links in mails and OpenAPI `servers`. */
  publicUrl: string
  /** Signs unsubscribe tokens. */
  secret: string
}
