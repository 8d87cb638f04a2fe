// The one configuration: every key with its environment name, unit, default and one line why. `readConfig` is called
// once by cli/ and by tests and the result is passed on as an argument; nothing else reads the environment.
// All mistakes are reported together, each with the name, the reason and the mend.
import { DEPLOYMENT_KEYS } from './config-keys/deployment.ts'
import { EDGE_KEYS } from './config-keys/edge.ts'
import type { Entry, Kind } from './config-keys/entry.ts'
import { OUTLET_KEYS } from './config-keys/outlets.ts'
import { fail } from './errors.ts'
import { parseRedisUrl } from './redis-url.ts'

export const CONFIG_TABLE = {
  ...DEPLOYMENT_KEYS,
  ...EDGE_KEYS,
  ...OUTLET_KEYS,
} as const satisfies Record<string, Entry>

type TypeOf<K extends Kind> = K extends 'int'
  ? number
  : K extends 'bool'
    ? boolean
    : K extends 'list'
      ? string[]
      : string
export type Config = {
  readonly [Key in keyof typeof CONFIG_TABLE]: TypeOf<(typeof CONFIG_TABLE)[Key]['kind']>
}

function parse(entry: Entry, text: string): string | number | boolean | string[] | Error {
  switch (entry.kind) {
    case 'int': {
      const value = Number(text)
      if (text.trim() === '' || !Number.isInteger(value)) return new Error('is not a whole number')
      if (entry.min !== undefined && value < entry.min) return new Error(`is below ${entry.min}`)
      if (entry.max !== undefined && value > entry.max) return new Error(`is above ${entry.max}`)
      return value
    }
    case 'bool':
      if (text === 'true' || text === '1') return true
      if (text === 'false' || text === '0' || text === '') return false
      return new Error('is neither true nor false')
    case 'list':
      return text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
    case 'url':
      if (text !== '' && !URL.canParse(text)) return new Error('is not a URL')
      return text
    case 'redis-url':
      if (text !== '' && parseRedisUrl(text) === undefined)
        return new Error(
          'is not redis://…, redis+cluster://host:port,host:port or redis+sentinel://host:port,host:port/master (rediss for TLS)',
        )
      return text
    case 'string':
      return text
  }
}

/** Reads all keys from `env`, then applies `overrides` (already typed). Throws one `invalid_config` naming every mistake. */
export function readConfig(env: Record<string, string | undefined>, overrides: Partial<Config> = {}): Config {
  const values: Record<string, unknown> = {}
  const mistakes: string[] = []
  const entries: [string, Entry][] = Object.entries(CONFIG_TABLE)
  for (const [key, entry] of entries) {
    const text = env[entry.env]
    const value = parse(entry, text ?? entry.default)
    if (value instanceof Error) mistakes.push(`${entry.env} ${value.message}: ${entry.why}`)
    else values[key] = value
  }
  const config = { ...values, ...overrides } as Config
  mistakes.push(...crossChecks(config))
  const known = new Set(entries.map(([, entry]) => entry.env))
  for (const name of Object.keys(env)) {
    if (name.startsWith('MILLRACE_') && !known.has(name))
      mistakes.push(`${name} is not a key of Millrace${suggest(name, known)}`)
  }
  if (mistakes.length > 0) throw fail('invalid_config', mistakes.join('; '))
  return Object.freeze(config)
}

function crossChecks(config: Config): string[] {
  const mistakes: string[] = []
  if (!/^[a-z][a-z0-9_]{0,30}$/.test(config.namespace))
    mistakes.push('MILLRACE_NAMESPACE must be a-z, 0-9 and _, at most 31 long')
  if (config.softDepthJobs > config.hardDepthJobs)
    mistakes.push('MILLRACE_SOFT_DEPTH_JOBS is above MILLRACE_HARD_DEPTH_JOBS')
  if (config.softMemoryPercent > config.hardMemoryPercent)
    mistakes.push('MILLRACE_SOFT_MEMORY_PERCENT is above MILLRACE_HARD_MEMORY_PERCENT')
  if (config.shardDatabaseUrls.some((url) => !URL.canParse(url)))
    mistakes.push('MILLRACE_SHARD_DATABASE_URLS holds something that is not a URL')
  if (config.shardDatabaseUrls.length > 0 && config.databaseUrl === '')
    mistakes.push('MILLRACE_SHARD_DATABASE_URLS needs DATABASE_URL: embedded Postgres is one server')
  if (config.shardDatabaseUrls.length > 15)
    mistakes.push('MILLRACE_SHARD_DATABASE_URLS names more than 15 servers: there are 16 bucket ranges')
  if (config.shards > 0 && 1024 % config.shards !== 0) mistakes.push('MILLRACE_SHARDS must divide 1024')
  return mistakes
}

function suggest(name: string, known: Set<string>): string {
  const near = [...known].find((candidate) => candidate.startsWith(name.slice(0, 14)))
  return near === undefined ? '' : `; did you mean ${near}?`
}

/** The configuration as rows for `millrace config print`; secrets are shown only as set or not set. */
export function describeConfig(config: Config): { env: string; value: string; why: string }[] {
  const entries: [string, Entry][] = Object.entries(CONFIG_TABLE)
  const values: Record<string, unknown> = { ...config }
  return entries.map(([key, entry]) => {
    const value = values[key]
    const shown = Array.isArray(value) ? value.join(',') : String(value)
    return {
      env: entry.env,
      value: entry.secret ? (shown === '' ? '(not set)' : '(set)') : shown,
      why: entry.why,
    }
  })
}
