// Finding a job: /search?q= takes a message id, user id, anonymous id, batch or job id and shows where it is now, in the
// queues (bounded look) and in Postgres. Shows ids, states and times only.
import type { RedisClient } from '../queues/connection.ts'
import { findJobs } from '../queues/find-jobs.ts'
import { allQueueNames } from '../queues/pipeline.ts'
import type { Config } from '../runtime/config.ts'
import type { HttpServer } from '../runtime/http.ts'
import { listDeliveriesOf } from '../store/profile-history.ts'
import { profileIdsOfAnyId } from '../store/profiles.ts'
import { findFailures, findMessage } from '../store/search.ts'
import type { Servers } from '../store/servers.ts'
import type { Sql } from '../store/sql.ts'
import type { Guard } from './guard.ts'
import { type Found, searchPage } from './search-page.ts'

/** Bounds of one look through the queues: at most this many jobs, this long, this many found. */
const LOOK = { maxJobs: 5000, maxMs: 2500, maxFound: 50 }

type Deps = { config: Config; sql: Sql; servers: Servers; redis: RedisClient; guard: Guard }

export function searchRoute(app: HttpServer, deps: Deps): void {
  app.get('/search', async (request, reply) => {
    const q = queryOf(request.query)
    const found = q === '' ? undefined : await search(deps, q)
    const person = deps.guard.personOf(request)
    return reply.type('text/html; charset=utf-8').send(searchPage(q, found, person))
  })
}

async function search({ config, sql, servers, redis }: Deps, q: string): Promise<Found> {
  const profileIds = await profileIdsOfAnyId(sql, q)
  const [message, failures, look, ...deliveries] = await Promise.all([
    findMessage(servers, q),
    findFailures(sql, q),
    findJobs(redis, {
      namespace: config.namespace,
      names: allQueueNames(config.shards),
      needle: { id: q, profileIds },
      ...LOOK,
    }),
    ...profileIds.map((profileId) => listDeliveriesOf(servers.of(profileId), profileId, { limit: 20 })),
  ])
  return { message, failures, look, profileIds, deliveries: deliveries.flat() }
}

/** What was asked for, without blanks and NULs around and in it. */
function queryOf(query: unknown): string {
  if (typeof query !== 'object' || query === null || !('q' in query) || typeof query.q !== 'string') return ''
  return query.q.replaceAll('\u0000', '').trim().toWellFormed().slice(0, 256)
}
