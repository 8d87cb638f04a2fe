// The Postgres connection pool that all store functions take first, and the one way to run a transaction. postgres.js
// is the driver; names are resolved through search_path, so one database can hold several namespaces.
import type { Sql as DriverSql, TransactionSql as DriverTransaction } from 'postgres'
import { errorCodeOf, isInfrastructureError } from '../runtime/errors.ts'
import { postgres } from './postgres-driver.ts'

export type Sql = DriverSql<{ bigint: number }>
export type Transaction = DriverTransaction<{ bigint: number }>
/** Either: functions that read or write one statement take this. */
export type Queryable = Sql | Transaction

/**
 * Opens a pool of at most `max` connections; the last used one is taken first, and who is idle for 10 s closes, so that a quiet
 * deployment holds few and a busy one seldom opens another, which has to look up every partition anew. Each lives for a minute:
 * a server process keeps what its busiest transaction took, and the page tables of all shared memory it ever saw.
 * Array parameters hold numbers or strings only: the driver mistakes arrays of booleans and dates for their first element.
 * bigint columns come back as numbers: profile numbers and counts stay far below 2^53.
 */
export function connectSql(options: {
  url: string
  namespace: string
  max: number
  applicationName: string
  statementTimeoutMs?: number
  /** 0 = never: for who reads from several servers in turn, in a transaction on each. */
  idleTransactionTimeoutMs?: number
}): Sql {
  return postgres(options.url, {
    max: options.max,
    idle_timeout: 10,
    connect_timeout: 10,
    max_lifetime: 60,
    onnotice: () => {},
    transform: { undefined: null },
    connection: {
      application_name: options.applicationName,
      search_path: options.namespace,
      statement_timeout: options.statementTimeoutMs ?? 30_000,
      lock_timeout: 20_000,
      // As text: the driver leaves out what is 0.
      idle_in_transaction_session_timeout:
        `${options.idleTransactionTimeoutMs ?? 60_000}` as unknown as number,
      jit: false,
      TimeZone: 'UTC',
    },
    types: {
      bigint: {
        to: 20,
        from: [20],
        serialize: (value: number) => String(value),
        parse: (text: string) => Number(text),
      },
    },
  }) as Sql
}

/**
 * Runs `work` in one READ COMMITTED transaction; it commits when `work` resolves and rolls back when it throws. When
 * the connection is lost, Postgres has rolled back by itself, and nothing more of this transaction may reach the
 * driver: it would run on whatever connection has taken its place, its `rollback` in the midst of somebody else's work.
 */
export function inTransaction<T>(sql: Sql, work: (tx: Transaction) => Promise<T>): Promise<T> {
  let lost: Error | undefined
  let isOver = false
  let returned: Error | undefined
  // The driver keeps a connection's last transaction until its next one: it must not keep what that one worked on.
  let todo = work
  return new Promise<T>((resolve, reject) => {
    const lose = (error: Error) => {
      lost ??= error
      reject(error)
    }
    const run = (tx: Transaction) =>
      new Promise<T>((done, failed) => {
        const working = todo(guardTransaction(tx, () => lost ?? returned)).finally(() => {
          returned = new Error('this transaction is over')
        })
        // Lost meanwhile: what the driver would send now, a commit or a prepare, could reach another's transaction.
        const end = (value: T) => lost === undefined && done(value)
        working.then(end, (error) => {
          if (lost === undefined && !isConnectionLoss(error)) return failed(error)
          lose(error)
          // The driver says so when the connection closes. If it does not, it was another connection's error.
          setTimeout(() => isOver || failed(error), LOSS_IS_SEEN_MS).unref()
        })
      })
    sql
      .begin((tx) => run(tx as Transaction))
      .then((value) => resolve(value as T), lose)
      .finally(() => {
        isOver = true
        todo = isDone
      })
  })
}

const isDone = () => Promise.reject(new Error('this transaction is over'))

const LOSS_IS_SEEN_MS = 5_000

/** The transaction as long as its connection lives, and until its work has returned. */
function guardTransaction(tx: Transaction, lost: () => Error | undefined): Transaction {
  return new Proxy(tx, {
    apply(target, self, args) {
      const error = lost()
      if (error !== undefined) throw error
      return Reflect.apply(target, self, args)
    },
  })
}

/** Postgres ends the connection after what it calls fatal; the driver and Node have codes of their own. */
export function isConnectionLoss(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const severity: unknown = Reflect.get(error, 'severity_local') ?? Reflect.get(error, 'severity')
  if (typeof severity === 'string') return severity === 'FATAL' || severity === 'PANIC'
  return /^[A-Z_]{6,}$/.test(errorCodeOf(error)) && isInfrastructureError(error)
}

/**
 * For a transaction whose statements all touch rows by their keys: the planner is kept from joins that read whole tables, and
 * plans each statement once a connection. It takes such joins for small tables, whose statistics are old or missing, and does not
 * know the dead rows that frequent updates leave there: 300 of 10,000 profiles took 8.5 ms so, and 2.5 by their index. And
 * with the values in sight it plans anew each time, through every partition: 3 to 8 ms a statement, which is more than small groups take to run.
 */
export async function expectKeys(tx: Transaction): Promise<void> {
  await tx`
    select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
      set_config('plan_cache_mode', 'force_generic_plan', true)`
}
