// What REDIS_URL may say: one server, the masters of a cluster, or the sentinels that know the master. Read by the
// configuration (is it well formed?) and by whoever opens a connection. Pure; knows no client.
//
//   redis://[user]:[password]@host:port                    rediss:// with TLS
//   redis+cluster://[user]:[password]@host:port,host:port  any of the nodes; rediss+cluster://
//   redis+sentinel://[user]:[password]@host:port,host:port/name-of-the-master  rediss+sentinel://

export type RedisHost = { host: string; port: number }
export type RedisAddress = {
  kind: 'single' | 'cluster' | 'sentinel'
  hosts: RedisHost[]
  /** Of the data servers; sentinels are asked without. */
  username: string | undefined
  password: string | undefined
  tls: boolean
  /** The name that sentinels know the master by; empty for other kinds. */
  master: string
}

const FORM = /^(rediss?)(?:\+(cluster|sentinel))?:\/\/(?:([^@/]*)@)?([^/?#]+)(?:\/([^?#]*))?$/
const DEFAULT_PORT = { single: 6379, cluster: 6379, sentinel: 26_379 }

/** Undefined when the text is no such address. */
export function parseRedisUrl(text: string): RedisAddress | undefined {
  const [, scheme, topology, login = '', hostList = '', path = ''] = FORM.exec(text) ?? []
  if (scheme === undefined) return undefined
  const kind = topology === 'cluster' || topology === 'sentinel' ? topology : 'single'
  const hosts = hostList.split(',').map((host) => parseHost(host, DEFAULT_PORT[kind]))
  if (!hosts.every((host) => host !== undefined)) return undefined
  if (kind === 'single' ? hosts.length !== 1 : path !== '' && kind === 'cluster') return undefined
  if (kind === 'sentinel' && !/^[\w.-]+$/.test(path)) return undefined
  const [username, password] = decodeLogin(login)
  return {
    kind,
    hosts,
    username,
    password,
    tls: scheme === 'rediss',
    master: kind === 'sentinel' ? path : '',
  }
}

/** Hosts and ports, never the user and password: for texts that people read. */
export function redisPlaces(text: string): string {
  const address = parseRedisUrl(text)
  return address === undefined
    ? 'REDIS_URL'
    : address.hosts.map(({ host, port }) => `${host}:${port}`).join(', ')
}

function parseHost(text: string, defaultPort: number): RedisHost | undefined {
  const [, v6, name, port] = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = v6 ?? name
  const number = port === undefined ? defaultPort : Number(port)
  return host === undefined || number < 1 || number > 65_535 ? undefined : { host, port: number }
}

function decodeLogin(login: string): [string | undefined, string | undefined] {
  if (login === '') return [undefined, undefined]
  const colon = login.indexOf(':')
  const parts = colon === -1 ? [login, ''] : [login.slice(0, colon), login.slice(colon + 1)]
  const [username, password] = parts.map((part) => (part === '' ? undefined : decode(part)))
  return [username, password]
}

/** A password may hold a bare %. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
