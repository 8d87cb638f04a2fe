// user_aggregates: what each person did in the last 30 days, recomputed from events and sessions, never counted up.
import { BUCKET_RANGES, BUCKETS } from '../domain/buckets.ts'
import { intArray } from './arrays.ts'
import { inTransaction, type Sql } from './sql.ts'

const WIDTH = BUCKETS / BUCKET_RANGES

/**
 * Recomputes the rows of one bucket range (0-15) as of a time and drops those of people without events in the window.
 * `orderIds` = the numbers of the event that is an order. Money is summed by currency, never across. Reads the range's event
 * partitions of the window once for counts and once, by the event's number, for orders.
 */
export async function recomputeAggregates(
  sql: Sql,
  wanted: { range: number; asOf: Date; orderIds: number[] },
): Promise<{ computed: number; dropped: number }> {
  const { range, asOf, orderIds } = wanted
  const from = range * WIDTH
  const to = from + WIDTH - 1
  const since = new Date(asOf.getTime() - 30 * 86_400_000)
  return inTransaction(sql, async (tx) => {
    const computed = await tx`
      with active as (
        select bucket, profile_id, count(*)::int as events
        from events
        where bucket between ${from} and ${to} and time > ${since} and time <= ${asOf}
        group by bucket, profile_id
      ), by_currency as (
        select profile_id, currency, count(*) as orders, sum(value) as revenue, max(time) as last_at
        from events
        where bucket between ${from} and ${to} and time > ${since} and time <= ${asOf}
          and event_id = any(${intArray(orderIds)}::smallint[])
        group by profile_id, currency
      ), orders as (
        select profile_id, sum(orders)::int as orders, max(last_at) as last_at,
          jsonb_object_agg(currency, revenue) filter (where currency is not null and revenue is not null) as revenue
        from by_currency
        group by profile_id
      ), visits as (
        select profile_id, count(*)::int as sessions
        from sessions
        where bucket between ${from} and ${to} and ended_at > ${since} and started_at <= ${asOf}
        group by profile_id
      )
      insert into user_aggregates (bucket, profile_id, computed_at, events_30d, sessions_30d, orders_30d, revenue_30d, last_order_at)
      select a.bucket, a.profile_id, ${asOf}, a.events, coalesce(v.sessions, 0), coalesce(o.orders, 0),
        coalesce(o.revenue, '{}'), o.last_at
      from active a
      left join orders o using (profile_id)
      left join visits v using (profile_id)
      on conflict (bucket, profile_id) do update
      set computed_at = excluded.computed_at, events_30d = excluded.events_30d, sessions_30d = excluded.sessions_30d,
        orders_30d = excluded.orders_30d, revenue_30d = excluded.revenue_30d, last_order_at = excluded.last_order_at`
    const dropped = await tx`
      delete from user_aggregates
      where bucket between ${from} and ${to} and computed_at < ${asOf}`
    return { computed: computed.count, dropped: dropped.count }
  })
}
