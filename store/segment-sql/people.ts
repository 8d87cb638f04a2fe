// Conditions on what is known of a person, as conditions on `p`: traits, dates and their returns, places, samples, lists,
// and other segments.
import type {
  AnniversaryNode,
  DateNode,
  GeoNode,
  ListNode,
  SampleNode,
  TraitNode,
} from '../../schema/rule.ts'
import { intArray } from '../arrays.ts'
import { fits, isMissing, numberOf, textOf } from './conditions.ts'
import type { Fragment, Scope } from './scope.ts'
import { instantOf, isDay, traitAt } from './trait-values.ts'
import { instant, lengthOf, zoneOf } from './windows.ts'

export function traitHolds({ sql }: Scope, node: TraitNode): Fragment {
  const found = traitAt(sql, node.path)
  const condition = fits(sql, found, node)
  return node.orMissing === true ? sql`(${isMissing(sql, found)} or ${condition})` : condition
}

export function dateHolds(scope: Scope, { path, op, value }: DateNode): Fragment {
  const { sql } = scope
  const date = instantOf(sql, traitAt(sql, path))
  switch (op) {
    case 'before':
      return sql`${date} < ${instant(scope, value)}`
    case 'after':
      return sql`${date} > ${instant(scope, value)}`
    case 'within':
      return sql`exists (select from (select ${date} as at) d where d.at > p.at - ${lengthOf(scope, value)} and d.at <= p.at)`
    case 'olderThan':
      return sql`${date} <= p.at - ${lengthOf(scope, value)}`
    case 'inNext':
      return sql`exists (select from (select ${date} as at) d where d.at > p.at and d.at <= p.at + ${lengthOf(scope, value)})`
    case 'furtherThan':
      return sql`${date} > p.at + ${lengthOf(scope, value)}`
  }
}

/** A local day on which the date comes back, from its own year on; days begin and end where Postgres has them. */
export function anniversaryHolds(scope: Scope, node: AnniversaryNode): Fragment {
  const { sql } = scope
  const { offset = 0, leapDay = 'feb28' } = node
  const found = traitAt(sql, node.path)
  const zone = zoneOf(scope, node.tz)
  return sql`exists (
    select
    from (
      select (${instantOf(sql, found)} at time zone case when ${isDay(sql, found)} then 'UTC' else ${zone} end)::date as born
    ) b
    cross join lateral (
      select y.year, extract(month from b.born)::int as month, extract(day from b.born)::int as day,
        extract(day from make_date(y.year, 3, 1) - 1) = 29 as is_leap
      from generate_series(
        greatest(extract(year from b.born)::int, extract(year from p.at at time zone ${zone})::int - 2),
        extract(year from p.at at time zone ${zone})::int + 2
      ) as y (year)
    ) d
    cross join lateral (
      select make_date(d.year, d.month, 1) - 1 + ${offset}::int
        + case when d.month = 2 and d.day = 29 and not d.is_leap and ${leapDay}::text = 'feb28' then 28 else d.day end as on_day
    ) r
    where p.at >= r.on_day::timestamp at time zone ${zone} and p.at < (r.on_day + 1)::timestamp at time zone ${zone}
  )`
}

export function geoHolds({ sql }: Scope, { path, circle, box, countries }: GeoNode): Fragment {
  const found = traitAt(sql, path)
  if (countries !== undefined)
    return sql`upper(${textOf(sql, found)} collate "C") = any(array(
      select c.code from jsonb_array_elements_text(${sql.json(countries)}::jsonb) as c (code)))`
  const degrees = (short: Fragment, middle: Fragment, long: Fragment) =>
    numberOf(
      sql,
      sql`coalesce(nullif(place -> ${short}, 'null'), nullif(place -> ${middle}, 'null'), place -> ${long})`,
    )
  const [lat, lon] = [
    degrees(sql`'lat'`, sql`'lat'`, sql`'latitude'`),
    degrees(sql`'lon'`, sql`'lng'`, sql`'longitude'`),
  ]
  // A number that no place on earth has would not even fit a double.
  const at = sql`from (select ${found} as place) f
    cross join lateral (select ${lat} as lat, ${lon} as lon) n
    cross join lateral (select n.lat::double precision as lat, n.lon::double precision as lon where abs(n.lat) < 1e9 and abs(n.lon) < 1e9) c`
  if (circle !== undefined)
    return sql`exists (select ${at} where ${metresTo({ sql }, circle)} <= ${circle.metres}::double precision)`
  if (box === undefined) return sql`false`
  // A box over the date line has its west end in the east.
  const word = box.west <= box.east ? sql`and` : sql`or`
  return sql`exists (
    select ${at}
    where c.lat between ${box.south}::double precision and ${box.north}::double precision
      and (c.lon >= ${box.west}::double precision ${word} c.lon <= ${box.east}::double precision)
  )`
}

/** Great-circle distance from `c` on a sphere of the earth's mean radius (haversine), metres. */
function metresTo({ sql }: Pick<Scope, 'sql'>, { lat, lon }: { lat: number; lon: number }): Fragment {
  const [there, beside] = [sql`${lat}::double precision`, sql`${lon}::double precision`]
  return sql`2 * 6371008.8 * asin(least(1, sqrt(
    power(sin(radians(c.lat - ${there}) / 2), 2)
      + cos(radians(c.lat)) * cos(radians(${there})) * power(sin(radians(c.lon - ${beside}) / 2), 2))))`
}

/** The first 32 bits of md5('salt:profile') modulo 10,000. */
export function sampleHolds({ sql }: Scope, { salt, from, to }: SampleNode): Fragment {
  return sql`(('x' || substr(md5(${salt}::text || ':' || p.profile_id), 1, 8))::bit(32)::bigint & 4294967295) % 10000
    between ${from}::int and ${to}::int`
}

export function listHolds({ sql, listed }: Scope, { list }: ListNode): Fragment {
  return sql`p.profile_id = any(${intArray(listed(list))}::bigint[])`
}
