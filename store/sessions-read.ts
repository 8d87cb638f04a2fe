// Reading sessions: of one profile newest first, and all of them in key order. Called by the API.
import { bucketOfProfile } from '../domain/buckets.ts'
import { pageOfAll, type Servers } from './servers.ts'
import type { Queryable, Sql } from './sql.ts'

export type SessionRow = {
  profileId: number
  userId: string | null
  startedAt: Date
  endedAt: Date
  events: number
  device: string | null
  locale: string | null
  campaign: string | null
  landingPage: string | null
  country: string | null
  closedAt: Date | null
}

const columns = (sql: Queryable) => sql`
  s.profile_id as "profileId", p.user_id as "userId", s.started_at as "startedAt", s.ended_at as "endedAt", s.events,
  s.device, s.locale, s.campaign, s.landing_page as "landingPage", s.country, s.closed_at as "closedAt"`

/** Sessions of a profile that started before `startedBeforeMs`, newest first. Needs the primary key. */
export async function listSessionsOf(
  sql: Sql,
  profileId: number,
  options: { startedBeforeMs?: number | undefined; limit: number },
): Promise<SessionRow[]> {
  return sql<SessionRow[]>`
    select ${columns(sql)}
    from sessions s
    join profiles p on p.bucket = s.bucket and p.profile_id = s.profile_id
    where s.bucket = ${profileId % 1024} and s.profile_id = ${profileId}
      ${options.startedBeforeMs === undefined ? sql`` : sql`and s.started_at < ${new Date(options.startedBeforeMs)}`}
    order by s.started_at desc
    limit ${options.limit}`
}

/** All sessions in key order (bucket, profile, start), after `after`; `open` narrows to running or to closed ones. */
export function listSessions(
  servers: Servers,
  options: {
    open?: boolean | undefined
    after?: { profileId: number; startedMs: number } | undefined
    limit: number
  },
): Promise<SessionRow[]> {
  const after = options.after ?? { profileId: -1, startedMs: 0 }
  const bucket = after.profileId < 0 ? 0 : after.profileId % 1024
  return pageOfAll(
    servers,
    options.limit,
    (sql) => sql<SessionRow[]>`
      select ${columns(sql)}
      from sessions s
      join profiles p on p.bucket = s.bucket and p.profile_id = s.profile_id
      where s.bucket >= ${bucket}
        and (s.bucket, s.profile_id, s.started_at) > (${bucket}, ${after.profileId}, ${new Date(after.startedMs)})
        ${options.open === undefined ? sql`` : options.open ? sql`and s.closed_at is null` : sql`and s.closed_at is not null`}
      order by s.bucket, s.profile_id, s.started_at
      limit ${options.limit}`,
    (a, b) =>
      bucketOfProfile(a.profileId) - bucketOfProfile(b.profileId) ||
      a.profileId - b.profileId ||
      a.startedAt.getTime() - b.startedAt.getTime(),
  )
}
