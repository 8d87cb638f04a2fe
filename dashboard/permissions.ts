// Who may change what on the board. Pure: role, method and Bull Board's route pattern in, verdict out. Whatever is not
// listed is refused, so a new version of Bull Board cannot bring a new way to change queues.
import type { Role } from '../store/dashboard-users.ts'

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 }

/** The least role for each change; paths as Bull Board declares them. */
const CHANGES: Record<string, Role> = {
  'PUT /api/queues/pause': 'operator',
  'PUT /api/queues/resume': 'operator',
  'PUT /api/queues/:queueName/pause': 'operator',
  'PUT /api/queues/:queueName/resume': 'operator',
  'PUT /api/queues/:queueName/retry/:queueStatus': 'operator',
  'PUT /api/queues/:queueName/promote': 'operator',
  'PUT /api/queues/:queueName/:jobId/retry': 'operator',
  'PUT /api/queues/:queueName/:jobId/promote': 'operator',
  'PUT /api/queues/:queueName/job-schedulers/:schedulerId/run': 'operator',
  'PUT /api/queues/:queueName/clean/:queueStatus': 'admin',
  'PUT /api/queues/:queueName/:jobId/clean': 'admin',
  'PUT /api/queues/:queueName/concurrency': 'admin',
  'PUT /api/queues/:queueName/rate-limit': 'admin',
  'PUT /api/queues/:queueName/rate-limit/release': 'operator',
}

/** Cleaning other states would throw away what was accepted; dead jobs are kept in failed_events too. */
const CLEANABLE = new Set(['completed', 'failed'])

export type Verdict = { allowed: true } | { allowed: false; why: string }

export function judgeChange(role: Role, method: string, route: string, queueStatus?: string): Verdict {
  if (method === 'GET' || method === 'HEAD') return { allowed: true }
  const least = CHANGES[`${method} ${route}`]
  if (least === undefined) return { allowed: false, why: 'the dashboard does not allow this' }
  if (RANK[role] < RANK[least]) return { allowed: false, why: `this needs the role ${least}` }
  if (queueStatus !== undefined && route.includes('/clean/') && !CLEANABLE.has(queueStatus)) {
    return {
      allowed: false,
      why: 'only failed and completed jobs may be cleaned: the others were accepted and not yet kept',
    }
  }
  return { allowed: true }
}
