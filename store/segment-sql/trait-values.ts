// What stands in a person's traits, as jsonb, and the instant that a date or a time in them means.
import type { Queryable } from '../sql.ts'
import { textOf } from './conditions.ts'
import type { Fragment } from './scope.ts'

/** `address.city` is a key of that name, else a path into the objects. */
export function traitAt(sql: Queryable, path: string): Fragment {
  return sql`(case when p.traits ? ${path}::text then p.traits -> ${path}::text
    else p.traits #> string_to_array(${path}::text, '.') end)`
}

/** RFC 3339 with an offset, or a day, which begins at midnight UTC; null for anything else, such as 30 February. */
export function instantOf(sql: Queryable, found: Fragment): Fragment {
  return sql`(
    select case
      when d.month not between 1 and 12 or d.hour > 23 or d.minute > 59 or d.second > 59 then null
      when d.ahead_hours > 23 or d.ahead_minutes > 59 then null
      when d.day not between 1 and extract(day from make_date(d.year, d.month, 1) + interval '1 month -1 day') then null
      else ((make_date(d.year, d.month, 1) + (d.day - 1))::timestamp
        + make_interval(hours => d.hour, mins => d.minute, secs => d.second) + d.ms * interval '1 millisecond'
        - d.ahead * make_interval(hours => d.ahead_hours, mins => d.ahead_minutes)) at time zone 'UTC'
      end
    from (
      select
        -- there is no year 0: Postgres calls it -1
        coalesce(nullif(m[1]::int, 0), -1) as year, m[2]::int as month, m[3]::int as day,
        coalesce(m[4]::int, 0) as hour, coalesce(m[5]::int, 0) as minute, coalesce(m[6]::int, 0) as second,
        coalesce(left(rpad(m[7], 3, '0'), 3)::int, 0) as ms,
        case left(m[8], 1) when '-' then -1 else 1 end as ahead,
        coalesce(nullif(substr(m[8], 2, 2), '')::int, 0) as ahead_hours,
        case when length(m[8]) > 3 then right(m[8], 2)::int else 0 end as ahead_minutes
      from regexp_match(${textOf(sql, found)},
        '^([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?))?$'
      ) as m
      where m is not null
    ) d
  )`
}

/** Whether it is a day, without a time. */
export function isDay(sql: Queryable, found: Fragment): Fragment {
  return sql`(${textOf(sql, found)} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')`
}
