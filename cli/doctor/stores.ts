// Checks of Postgres and Redis: do they answer, are they new enough, do they keep what they acknowledge, does the schema
// and the shard map fit, do the clocks agree. Changes nothing.

import { DEFAULT_SHARDS } from '../../domain/buckets.ts'
import { connectProducer, whenReady } from '../../queues/connection.ts'
import { findUnsafeSettings } from '../../queues/safety.ts'
import { readRedisFacts } from '../../queues/server-facts.ts'
import type { Config } from '../../runtime/config.ts'
import { describeError } from '../../runtime/errors.ts'
import { schemaVersion } from '../../schema/migrate.ts'
import { readPostgresFacts } from '../../store/server-facts.ts'
import { countShards } from '../../store/shard-map.ts'
import { connectSql, type Sql } from '../../store/sql.ts'
import { databaseUrls, placeOf } from '../connect.ts'
import { bad, type Finding, ok, warn } from './finding.ts'

const POSTGRES_MAJOR = 16
const REDIS_MAJOR = 7
const SKEW_WARN_MS = 1_000
const SKEW_FAIL_MS = 60_000

/** Both stores; an empty address is one line that says a local server will be started. */
export async function diagnoseStores(config: Config): Promise<Finding[]> {
  const [postgres, redis] = await Promise.all([diagnosePostgres(config), diagnoseRedis(config)])
  return [...postgres, ...redis]
}

async function diagnosePostgres(config: Config): Promise<Finding[]> {
  if (config.databaseUrl === '')
    return [ok('postgres', 'DATABASE_URL is empty: start runs an embedded server')]
  const all = await Promise.all(databaseUrls(config).map((url) => diagnoseServer(url, config)))
  return all.flat()
}

/** One of several servers but the first only has rows of people. */
async function diagnoseServer(url: string, config: Config): Promise<Finding[]> {
  const isHome = url === config.databaseUrl
  const place = placeOf(url)
  const sql = connectSql({
    url,
    namespace: config.namespace,
    max: 1,
    applicationName: 'millrace-cli',
  })
  try {
    const askedAt = Date.now()
    const facts = await readPostgresFacts(sql)
    const skewMs = facts.nowMs - (askedAt + Date.now()) / 2
    const schema = await checkSchema(url, config.namespace)
    return [
      facts.versionNumber >= POSTGRES_MAJOR * 10_000
        ? ok('postgres', `Postgres ${facts.version} at ${place}`)
        : bad(
            'postgres',
            `Postgres ${facts.version} at ${place} is too old`,
            `use Postgres ${POSTGRES_MAJOR} or newer`,
          ),
      ...checkSafety(facts.settings),
      schema,
      ...(schema.state === 'ok' && isHome ? [await checkShards(sql, config.shards)] : []),
      ...(isHome ? [] : [checkPrepared(facts.maxPreparedTransactions, place)]),
      checkSkew('Postgres', skewMs),
    ]
  } catch (error) {
    return [
      bad(
        'postgres',
        `Postgres does not answer at ${place} (${describeError(error)})`,
        isHome
          ? 'start it, or correct DATABASE_URL; leave it empty for an embedded server'
          : 'start it, or correct MILLRACE_SHARD_DATABASE_URLS',
      ),
    ]
  } finally {
    await sql.end({ timeout: 2 })
  }
}

function checkPrepared(most: number, place: string): Finding {
  const check = 'several servers'
  return most > 0
    ? ok(check, `max_prepared_transactions is ${most} at ${place}`)
    : bad(
        check,
        `max_prepared_transactions is 0 at ${place}: no transaction over several servers can end there`,
        'set it to max_connections, and restart that server',
      )
}

function checkSafety(settings: Record<string, string>): Finding[] {
  const names: Record<string, string> = {
    fsync: 'fsync',
    fullPageWrites: 'full_page_writes',
    synchronousCommit: 'synchronous_commit',
  }
  const off = Object.entries(settings).filter(([, value]) => value === 'off')
  if (off.length === 0)
    return [ok('postgres settings', 'fsync, full_page_writes and synchronous_commit are on')]
  return off.map(([key]) =>
    bad(
      'postgres settings',
      `${names[key]} is off: a crash may lose or corrupt events`,
      `set ${names[key]} = on`,
    ),
  )
}

async function checkSchema(url: string, namespace: string): Promise<Finding> {
  const { applied, known } = await schemaVersion(url, namespace)
  if (applied > known) {
    return bad(
      'schema',
      `the database has schema ${applied}, this version of Millrace knows ${known}`,
      'upgrade Millrace, or use another MILLRACE_NAMESPACE',
    )
  }
  if (applied < known) {
    const finding = bad('schema', `the database has schema ${applied} of ${known}`, 'run millrace migrate')
    return { ...finding, startMends: true }
  }
  return ok('schema', `version ${applied}`)
}

async function checkShards(sql: Sql, configured: number): Promise<Finding> {
  const stored = await countShards(sql)
  if (stored === 0)
    return ok('shards', `no map is stored yet: the first start stores ${configured || DEFAULT_SHARDS} shards`)
  if (configured === 0 || stored === configured) return ok('shards', `${stored} shards, as stored`)
  return bad(
    'shards',
    `the stored map has ${stored} shards, MILLRACE_SHARDS is ${configured}`,
    `set MILLRACE_SHARDS=${stored}, or 0 for whatever is stored`,
  )
}

async function diagnoseRedis(config: Config): Promise<Finding[]> {
  if (config.redisUrl === '') return [ok('redis', 'REDIS_URL is empty: start runs a local server')]
  const place = placeOf(config.redisUrl)
  const redis = connectProducer(config.redisUrl, { commandTimeoutMs: 3000 })
  try {
    await whenReady(redis)
    const askedAt = Date.now()
    const facts = await readRedisFacts(redis)
    const skewMs = facts.nowMs - (askedAt + Date.now()) / 2
    const product = facts.product === 'valkey' ? 'Valkey' : 'Redis'
    return [
      facts.major >= REDIS_MAJOR
        ? ok('redis', `${product} ${facts.version} at ${place}`)
        : bad(
            'redis',
            `${product} ${facts.version} at ${place} is too old`,
            `use Redis ${REDIS_MAJOR} or newer, or Valkey`,
          ),
      ...(await checkDurability(redis, config.redisUnsafeOk)),
      checkSkew(product, skewMs),
    ]
  } catch (error) {
    return [
      bad(
        'redis',
        `Redis does not answer at ${place} (${describeError(error)})`,
        'start it, or correct REDIS_URL; leave it empty for a local server',
      ),
    ]
  } finally {
    redis.disconnect()
  }
}

async function checkDurability(
  redis: ReturnType<typeof connectProducer>,
  isUnsafeOk: boolean,
): Promise<Finding[]> {
  const unsafe = await findUnsafeSettings(redis)
  if (unsafe.length === 0)
    return [ok('redis settings', 'noeviction, AOF on, appendfsync always, maxmemory set')]
  const tell = isUnsafeOk ? warn : bad
  return unsafe.map(({ setting, is, shouldBe, why }) =>
    tell(
      'redis settings',
      `${setting} is ${is}: ${why}`,
      setting === 'CONFIG'
        ? 'check by hand that it never evicts and keeps an AOF with appendfsync always, then set MILLRACE_REDIS_UNSAFE_OK=true'
        : `set ${setting} to ${shouldBe} (in redis.conf, or CONFIG SET and CONFIG REWRITE)`,
    ),
  )
}

export function checkSkew(server: string, skewMs: number): Finding {
  const check = 'clock'
  const size = Math.abs(skewMs)
  if (size < SKEW_WARN_MS) return ok(check, `${server} and this machine agree within a second`)
  const text = `the clock of ${server} is ${Math.round(size / 100) / 10} s ${skewMs > 0 ? 'ahead of' : 'behind'} this machine's`
  const mend = 'keep all machines in time with NTP: delays and sessions are off by as much'
  return size >= SKEW_FAIL_MS ? bad(check, text, mend) : warn(check, text, mend)
}
