// One transaction over several Postgres servers: two-phase commit with presumed abort (Mohan & Lindsay 1983), as Citus does
// it. The other servers prepare, then home commits together with the row that says so: that commit decides, and what it
// decided is carried out on the others, by whoever comes first: the process itself, or any other that finds it left behind.
import { randomUUID } from 'node:crypto'
import { rangeOfProfile } from '../domain/buckets.ts'
import { errorCodeOf, fail } from '../runtime/errors.ts'
import { textArray } from './arrays.ts'
import { lockOutGroups } from './identities.ts'
import type { Servers } from './servers.ts'
import { inTransaction, isConnectionLoss, type Transaction } from './sql.ts'

export type JointTransaction = {
  home: Transaction
  /** On the server with the rows of this profile. */
  of(profileId: number): Transaction
  /**
   * Does `work` on every server with those of `items` that are in its bucket ranges, one server after another: always in
   * the same order, so that two transactions wait for each other instead of deadlocking.
   */
  each<Item>(
    items: Item[],
    rangeOf: (item: Item) => number,
    work: (tx: Transaction, items: Item[]) => Promise<unknown>,
  ): Promise<void>
}

/** Takes the servers of these bucket ranges into the transaction, for `work`. Once a transaction, at its end. */
export type Join = <T>(
  ranges: () => Iterable<number>,
  work: (joint: JointTransaction) => Promise<T>,
) => Promise<T>

/** The stores are not yet as this transaction needs them; like a serialisation failure, its cure is trying again. */
export class StartAgain extends Error {
  override readonly name = 'StartAgain'
  readonly code = '40001'
}

/** Another server than home was lost, or its part could not be carried out: whoever runs the work tries again later. */
class ServerAway extends Error {
  override readonly name = 'ServerAway'
  readonly code = '08006'
}

/** A deadlock over two servers is seen by neither: whoever waits so long for a lock starts again. */
const LOCK_TIMEOUT = '5s'

/**
 * Runs `work` in one READ COMMITTED transaction that begins at home. It resolves when all of it is committed and to be
 * seen; when it throws, nothing is, or (a connection was lost at the wrong moment) all will be. `begin` is done first on
 * every server that comes into it.
 */
export async function inJointTransaction<T>(
  servers: Servers,
  begin: (tx: Transaction) => Promise<unknown>,
  work: (home: Transaction, join: Join) => Promise<T>,
): Promise<T> {
  const gid = `${prefixOf(servers)}${randomUUID()}`
  const prepared: number[] = []
  let value: T
  try {
    value = await inTransaction(servers.home, async (home) => {
      await begin(home)
      return work(home, async (ranges, part) => {
        const others = servers.all.length === 1 ? [] : othersWith(servers, ranges())
        if (others.length === 0) return part(onlyHome(home))
        const open = new Map([[0, home]])
        const result = await withEach(servers, others, {
          work: () => part(jointOf(servers, home, open)),
          async open(number, tx) {
            await tx`select set_config('lock_timeout', ${LOCK_TIMEOUT}, true)`
            await begin(tx)
            open.set(number, tx)
          },
          prepare(number, tx) {
            // The driver prepares in place of its commit.
            tx.prepare(nameOn(number, gid))
            prepared.push(number)
          },
        })
        await decideFor(home, gid)
        return result
      })
    })
  } catch (error) {
    // Whoever cannot be reached now is left to settleLeftBehind.
    if (prepared.length > 0) await settle(servers, gid, prepared).catch(() => {})
    throw error
  }
  await finishAll(servers, prepared, 'commit', gid)
  return value
}

/** Servers beside home with any of these bucket ranges, in order. */
function othersWith(servers: Servers, ranges: Iterable<number>): number[] {
  const numbers = new Set([...ranges].map(servers.numberOfRange))
  return [...numbers].filter((number) => number !== 0).sort((a, b) => a - b)
}

/** Opens a transaction on each of `numbers`, does the work, and prepares them, the last one first. */
async function withEach<P>(
  servers: Servers,
  [number, ...rest]: number[],
  then: {
    open(number: number, tx: Transaction): Promise<void>
    work(): Promise<P>
    prepare(number: number, tx: Transaction): void
  },
): Promise<P> {
  const sql = number === undefined ? undefined : servers.all[number]
  if (number === undefined || sql === undefined) return then.work()
  try {
    return await inTransaction(sql, async (tx) => {
      await then.open(number, tx)
      const result = await withEach(servers, rest, then)
      then.prepare(number, tx)
      return result
    })
  } catch (error) {
    // Not to be taken for the loss of home's own connection. 55000: this server prepares nothing, for now.
    if (isConnectionLoss(error) || errorCodeOf(error) === NOT_IN_STATE)
      throw new ServerAway(`Postgres server ${number} of several is away or cannot prepare`, { cause: error })
    throw error
  }
}

/** Throws when another process has given this transaction up meanwhile. */
async function decideFor(home: Transaction, gid: string): Promise<void> {
  const written = await home`
    insert into commit_decisions (gid, decision) values (${gid}, 'commit') on conflict (gid) do nothing`
  if (written.count === 0) throw new StartAgain('a transaction over several servers was given up')
}

function onlyHome(home: Transaction): JointTransaction {
  return {
    home,
    of: () => home,
    async each(items, _rangeOf, work) {
      if (items.length > 0) await work(home, items)
    },
  }
}

function jointOf(servers: Servers, home: Transaction, open: Map<number, Transaction>): JointTransaction {
  const on = (range: number): Transaction => {
    const tx = open.get(servers.numberOfRange(range))
    if (tx === undefined) throw new Error(`the server of range ${range} is not part of this transaction`)
    return tx
  }
  return {
    home,
    of: (profileId) => on(rangeOfProfile(profileId)),
    async each(items, rangeOf, work) {
      const byServer = Map.groupBy(items, (item) => on(rangeOf(item)))
      for (const tx of open.values()) {
        const own = byServer.get(tx)
        if (own !== undefined) await work(tx, own)
      }
    },
  }
}

function prefixOf({ namespace }: Servers): string {
  // A namespace holds no '-', so none is the beginning of another's.
  return `millrace_${namespace}-`
}

/** What a server calls its part: databases of one server share their names. */
function nameOn(number: number, gid: string): string {
  return `${gid}_${number}`
}

/** A process may be held up between its two phases, but not for so long. */
const LEFT_BEHIND_MS = 10_000

/**
 * Carries out, or takes back, what a process that died between the phases has left prepared: until then its rows are
 * locked. Returns how many transactions it settled; does what it can also while a server is away, and then throws.
 */
export async function settleLeftBehind(servers: Servers, afterMs = LEFT_BEHIND_MS): Promise<number> {
  const { prepared, failures } = await listPrepared(servers)
  const left = Map.groupBy(
    prepared.filter((one) => one.ageMs >= afterMs),
    (one) => one.gid,
  )
  for (const [gid, parts] of left) {
    const numbers = parts.map((part) => part.number)
    await settle(servers, gid, numbers).catch((error: unknown) => failures.push(error))
  }
  if (failures.length > 0) throw failures[0]
  return left.size
}

/** Forgets decisions that nobody can ask for any more. */
export async function forgetDecisions(servers: Servers): Promise<void> {
  const { prepared, failures } = await listPrepared(servers)
  if (failures.length > 0) throw failures[0]
  await servers.home`
    delete from commit_decisions
    where decided_at < now() - interval '1 hour' and gid <> all(${textArray(prepared.map((one) => one.gid))}::text[])`
}

type Prepared = { number: number; gid: string; ageMs: number }

/** What is prepared on the servers that answer. */
async function listPrepared(servers: Servers): Promise<{ prepared: Prepared[]; failures: unknown[] }> {
  const prepared: Prepared[] = []
  const failures: unknown[] = []
  for (const [number, sql] of servers.all.entries()) {
    if (number === 0) continue
    try {
      const rows = await sql<{ name: string; ageMs: number }[]>`
        select gid as name, (extract(epoch from clock_timestamp() - prepared) * 1000)::float8 as "ageMs"
        from pg_prepared_xacts
        where database = current_database() and starts_with(gid, ${prefixOf(servers)})`
      for (const { name, ageMs } of rows)
        prepared.push({ number, gid: name.slice(0, -nameOn(number, '').length), ageMs })
    } catch (error) {
      failures.push(error)
    }
  }
  return { prepared, failures }
}

/** Does `work` while no transaction is between its phases, and none can come there: what all servers hold fits together. */
export async function whileNoneCommits<T>(servers: Servers, work: () => Promise<T>): Promise<T> {
  return inTransaction(servers.home, async (home) => {
    await lockOutGroups(home)
    const deadline = Date.now() + PATIENCE_MS
    while ((await countPrepared(servers)) > 0) {
      if (Date.now() > deadline)
        throw fail(
          'unavailable',
          'a transaction over several servers does not end: start the persist pool, which settles it',
        )
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return work()
  })
}

const PATIENCE_MS = 30_000

async function countPrepared(servers: Servers): Promise<number> {
  const { prepared, failures } = await listPrepared(servers)
  if (failures.length > 0) throw failures[0]
  return prepared.length
}

/** While home's transaction may still commit, this waits for it: the row it wrote is the one that is wanted here. */
async function settle(servers: Servers, gid: string, prepared: number[]): Promise<void> {
  const { home } = servers
  await home`
    insert into commit_decisions (gid, decision) values (${gid}, 'abort') on conflict (gid) do nothing`
  const [row] = await home<{ decision: string }[]>`select decision from commit_decisions where gid = ${gid}`
  await finishAll(servers, prepared, row?.decision === 'commit' ? 'commit' : 'rollback', gid)
}

/** Also where one of them is away, which is thrown then: the others' rows are free. */
async function finishAll(
  servers: Servers,
  numbers: number[],
  how: 'commit' | 'rollback',
  gid: string,
): Promise<void> {
  const ends = await Promise.allSettled(numbers.map((number) => finish(servers, number, how, gid)))
  const failed = ends.find((end) => end.status === 'rejected')
  if (failed !== undefined)
    throw new ServerAway(`a transaction is decided and not yet carried out everywhere: ${how}`, {
      cause: failed.reason,
    })
}

/** Done already by another process, or never prepared, is as good. While another one is at it, waits for that one. */
async function finish(
  servers: Servers,
  number: number,
  how: 'commit' | 'rollback',
  gid: string,
): Promise<void> {
  const sql = servers.all[number]
  for (let tries = 1; ; tries++) {
    try {
      await sql?.unsafe(`${how} prepared '${nameOn(number, gid)}'`)
      return
    } catch (error) {
      const code = errorCodeOf(error)
      if (code === UNDEFINED_OBJECT) return
      if (code !== NOT_IN_STATE || tries === BUSY_TRIES) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

const UNDEFINED_OBJECT = '42704'
/** Prepared transactions are disabled; or this one is being ended by somebody else. */
const NOT_IN_STATE = '55000'
const BUSY_TRIES = 20
