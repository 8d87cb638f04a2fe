// A started dashboard of one world and a browser-like client for it: keeps the cookie, sends Origin, follows nothing.
import { startDashboard } from '../../dashboard/server.ts'
import type { World } from './world.ts'

export const ADMIN_PASSWORD = 'correct horse battery'

export async function openDashboard(world: World) {
  const { config, log, sql, servers, producer } = world
  const dashboard = await startDashboard({ config, log, sql, servers, redis: producer })
  return { dashboard, origin: new URL(dashboard.url).origin }
}

export type Client = ReturnType<typeof client>

export function client(origin: string) {
  let cookie = ''
  async function call(
    method: string,
    path: string,
    options: { form?: Record<string, string>; headers?: Record<string, string> } = {},
  ) {
    const response = await fetch(`${origin}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        accept: 'text/html',
        ...(method === 'GET' ? {} : { origin }),
        ...(cookie === '' ? {} : { cookie }),
        ...options.headers,
      },
      ...(options.form === undefined ? {} : { body: new URLSearchParams(options.form) }),
    })
    const [set] = response.headers.getSetCookie()
    if (set !== undefined) cookie = set.split(';', 1)[0] ?? ''
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  return {
    get: (path: string, headers: Record<string, string> = {}) => call('GET', path, { headers }),
    put: (path: string, headers: Record<string, string> = {}) => call('PUT', path, { headers }),
    call,
    logIn: (name: string, password: string, next = '/search') =>
      call('POST', '/login', { form: { name, password, next } }),
    cookie: () => cookie,
  }
}
