// The dashboard_users table: who may log in and what they may do. Passwords are kept as scrypt texts only.
import type { Queryable } from './sql.ts'

export const ROLES = ['admin', 'operator', 'viewer'] as const
export type Role = (typeof ROLES)[number]

export type DashboardUser = { userId: number; name: string; passwordHash: string; role: Role }

export async function findDashboardUser(sql: Queryable, name: string): Promise<DashboardUser | undefined> {
  const [row] = await sql<DashboardUser[]>`
    select user_id as "userId", name, password_hash as "passwordHash", role
    from dashboard_users
    where name = ${name}`
  return row
}

export async function hasDashboardUsers(sql: Queryable): Promise<boolean> {
  const rows = await sql`select 1 from dashboard_users limit 1`
  return rows.length > 0
}

/** Makes a user; false when the name is taken (two first starts at once: one wins). */
export async function createDashboardUser(
  sql: Queryable,
  user: { name: string; passwordHash: string; role: Role },
): Promise<boolean> {
  const made = await sql`
    insert into dashboard_users (name, password_hash, role)
    values (${user.name}, ${user.passwordHash}, ${user.role})
    on conflict (name) do nothing
    returning user_id`
  return made.length > 0
}
