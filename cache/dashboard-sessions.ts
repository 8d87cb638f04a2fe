// Who is logged in to the dashboard: one key a session, under a hash of its id, gone by itself. Losing them means
// logging in again.
import { createHash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { Cache } from './connect.ts'

const DashboardSession = Type.Object({
  name: Type.String(),
  /** Fingerprint of the password at log-in: a changed password ends the session. */
  stamp: Type.String(),
})
export type DashboardSession = Static<typeof DashboardSession>

type Store = Pick<Cache, 'redis' | 'key'>

export async function keepSession(
  store: Store,
  id: string,
  session: DashboardSession,
  ttlMs: number,
): Promise<void> {
  await store.redis.set(keyOf(store, id), JSON.stringify(session), 'PX', ttlMs)
}

export async function readSession(store: Store, id: string): Promise<DashboardSession | undefined> {
  const text = await store.redis.get(keyOf(store, id))
  if (text === null) return undefined
  const value: unknown = JSON.parse(text)
  return Value.Check(DashboardSession, value) ? value : undefined
}

export async function dropSession(store: Store, id: string): Promise<void> {
  await store.redis.del(keyOf(store, id))
}

function keyOf(store: Store, id: string): string {
  return store.key('dashboard-session', createHash('sha256').update(id).digest('base64url'))
}
