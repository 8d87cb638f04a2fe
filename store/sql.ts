// The Postgres connection pool that all store functions take first, and the one way to run a transaction. postgres.js
// is the driver; names are resolved through search_path, so one database can hold several namespaces.
import postgres from 'postgres'

export type Sql = postgres.Sql<{ bigint: number }>
export type Transaction = postgres.TransactionSql<{ bigint: number }>
/** Either: functions that read or write one statement take this. */
export type Queryable = Sql | Transaction

/**
 * Opens a pool of at most `max` connections; idle ones close after 6 s, so that a quiet deployment
 * holds few: the driver takes them in turn, and a query now and then would keep all of them.
 * Array parameters hold numbers or strings only: the driver mistakes arrays of booleans and dates for their first element.
 * bigint columns come back as numbers: profile numbers and counts stay far below 2^53.
 */
export function connectSql(options: {
  url: string
  namespace: string
  max: number
  applicationName: string
  statementTimeoutMs?: number
}): Sql {
  return postgres(options.url, {
    max: options.max,
    idle_timeout: 6,
    connect_timeout: 10,
    max_lifetime: 60 * 30,
    onnotice: () => {},
    transform: { undefined: null },
    connection: {
      application_name: options.applicationName,
      search_path: options.namespace,
      statement_timeout: options.statementTimeoutMs ?? 30_000,
      lock_timeout: 20_000,
      idle_in_transaction_session_timeout: 60_000,
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

/** Runs `work` in one READ COMMITTED transaction; it commits when `work` resolves and rolls back when it throws. */
export function inTransaction<T>(sql: Sql, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return sql.begin((tx) => work(tx as Transaction)) as Promise<T>
}
