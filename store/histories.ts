// The events that plans ask for, of the people of a pass: one statement for those of which only times and values matter,
// and one for those with properties, however many segments there are. Uses the events' key (profile_id, event_id, time, …);
// one range of buckets at a time where many people are asked about; each person's first and last event prune the weeks.
import type { PendingQuery } from 'postgres'
import { rangeOfProfile } from '../domain/buckets.ts'
import type { AskedEvent } from '../domain/segments/asked.ts'
import type { ContextPart } from '../domain/segments/contact-events.ts'
import type { Occurrence } from '../domain/segments/facts.ts'
import type { Input } from '../domain/segments/inputs.ts'
import { intArray, textArray } from './arrays.ts'
import { eventsTable } from './partitions.ts'
import type { Queryable } from './sql.ts'

/** Somebody and the times of their first and last event (ms): outside of them there is nothing to look for. */
export type Remembered = {
  profileId: number
  firstMs: number
  lastMs: number
  /** Numbers of those events that are looked at of this person; absent = all that inputs name. */
  wanted?: ReadonlySet<number> | undefined
}
/** `asOfMs` = the earliest instant that is asked for: how far back inputs reach is counted from it. */
export type HistoryScope = { people: Remembered[]; bucketFrom: number; bucketTo: number; asOfMs: number }

/** Numbers of event names, by type and name as they are asked for. */
export type EventIds = Map<string, NamedEvent[]>
export type NamedEvent = { eventId: number; type: string; name: string }

export function keyOf({ type, event }: AskedEvent): string {
  return `${type}\u0000${event}`
}

/** Numbers of the event names; a page, screen or identify condition without a name means all of that type. */
export async function readEventIds(sql: Queryable, asked: AskedEvent[]): Promise<EventIds> {
  const rows = await sql<{ type: string; event: string; event_ids: number[]; names: string[] }[]>`
    select wanted.type, wanted.event, array_agg(n.event_id) as event_ids, array_agg(n.name) as names
    from (
      select distinct type, event
      from unnest(${textArray(asked.map((one) => one.type))}::text[], ${textArray(asked.map((one) => one.event))}::text[]) as w (type, event)
    ) wanted
    join event_names n on n.type = wanted.type and (n.name = wanted.event or (wanted.event = '' and wanted.type <> 'track'))
    group by wanted.type, wanted.event`
  return new Map(
    rows.map(({ type, event, event_ids, names }) => [
      keyOf({ type, event }),
      event_ids.map((eventId, i) => ({ eventId, type, name: names[i] ?? '' })),
    ]),
  )
}

/** Events of everybody who has any of those that `inputs` name, ascending by time. `eventIds` = those of the inputs. */
export async function readHistories(
  sql: Queryable,
  inputs: Input[],
  scope: HistoryScope,
  eventIds: EventIds,
): Promise<Map<number, Occurrence[]>> {
  const histories = new Map<number, Occurrence[]>()
  if (scope.people.length === 0) return histories
  const groups = groupsOf(inputs, eventIds, scope.asOfMs)
  for (const found of await Promise.all(groups.map((group) => readGroup(sql, group, scope)))) {
    for (const [profileId, events] of found) {
      const known = histories.get(profileId)
      if (known === undefined) histories.set(profileId, events)
      else for (const event of events) known.push(event)
    }
  }
  for (const events of histories.values()) sortByTime(events)
  return histories
}

type Group = {
  named: Map<number, NamedEvent>
  props: string[]
  context: ContextPart[]
  sinceMs: number | undefined
}

/** Events without properties, those with, and those with parts of their context, which are read out of large rows: each
 * number is in one of the three. */
function groupsOf(inputs: Input[], eventIds: EventIds, asOfMs: number): Group[] {
  const [plain, rich, whole] = [1, 2, 3].map(
    (): Group => ({ named: new Map(), props: [], context: [], sinceMs: asOfMs }),
  ) as [Group, Group, Group]
  const idsOf = (input: Input) => eventIds.get(keyOf(input)) ?? []
  const numbersOf = (some: Input[]) =>
    new Set(some.flatMap((one) => idsOf(one).map(({ eventId }) => eventId)))
  const withProps = numbersOf(inputs.filter((input) => input.props.length > 0))
  const withContext = numbersOf(inputs.filter((input) => input.context !== undefined))
  for (const input of inputs) {
    for (const one of idsOf(input)) {
      const group = withContext.has(one.eventId) ? whole : withProps.has(one.eventId) ? rich : plain
      group.named.set(one.eventId, one)
      for (const prop of input.props) if (!group.props.includes(prop)) group.props.push(prop)
      for (const part of input.context ?? []) if (!group.context.includes(part)) group.context.push(part)
      if (input.lastMs === undefined) group.sinceMs = undefined
      else if (group.sinceMs !== undefined) group.sinceMs = Math.min(group.sinceMs, asOfMs - input.lastMs)
    }
  }
  return [plain, rich, whole].filter((group) => group.named.size > 0)
}

type Row = {
  profile_id: number
  event_ids: string
  times: string
  amounts: string
  currencies: string
  props: unknown[][] | null
  context: unknown[][] | null
}

/**
 * Of more people, and where all are in one range of buckets, each range is asked for its own: a look into all of them costs each
 * person a step a partition, and a new connection what it takes to open every partition.
 */
const MANY_PEOPLE = 128

type Looked = Remembered & { own: string }

async function readGroup(
  sql: Queryable,
  group: Group,
  { people, ...scope }: HistoryScope,
): Promise<[profileId: number, Occurrence[]][]> {
  const texts: Texts = new Map()
  const some = people
    .map((one): Looked => ({ ...one, own: numbersOf(one.wanted, group.named, texts) }))
    .filter((one) => one.own !== '{}')
  if (some.length === 0) return []
  const byRange = Map.groupBy(some, (one) => rangeOfProfile(one.profileId))
  const isSplit = byRange.size === 1 || some.length > MANY_PEOPLE
  const rows = isSplit
    ? await Promise.all(
        [...byRange].map(([range, own]) => rowsOf(sql, group, own, eventsOfRange(sql, range))),
      )
    : [await rowsOf(sql, group, some, eventsWithin(sql, scope))]
  return rows
    .flat()
    .map((row) => [row.profile_id, occurrencesOf(row, group.named, group.props, group.context)])
}

function eventsWithin(sql: Queryable, { bucketFrom, bucketTo }: Omit<HistoryScope, 'people'>) {
  return sql`events e where e.bucket = (ids.profile_id & 1023) and e.bucket between ${bucketFrom} and ${bucketTo}`
}

function eventsOfRange(sql: Queryable, range: number) {
  return sql`${sql(eventsTable(range))} e where true`
}

/**
 * Lateral with an aggregate inside: always one look into the key a person, in the partitions of its bucket only. As a plain
 * join the planner reads whole partitions while their statistics are not there yet. What a person's looks have in common is worked out
 * once (`offset 0`), not in each partition. Columns come as the texts of arrays, which cost a fifth of rows.
 */
function rowsOf(
  sql: Queryable,
  { props, context, sinceMs }: Group,
  people: Looked[],
  source: ReturnType<typeof eventsOfRange>,
): PendingQuery<Row[]> {
  const propsWanted = props.map((prop) => sql`, e.properties -> ${prop}`)
  return sql<Row[]>`
    select ids.profile_id, found.*
    from (
      select profile_id, at_ms(first_ms) as first_at, at_ms(last_ms + 1) as last_at, own::smallint[] as own
      from unnest(${intArray(people.map((one) => one.profileId))}::bigint[],
        ${intArray(people.map((one) => one.firstMs))}::bigint[], ${intArray(people.map((one) => one.lastMs))}::bigint[],
        ${textArray(people.map((one) => one.own))}::text[])
        as asked (profile_id, first_ms, last_ms, own)
      offset 0
    ) ids
    cross join lateral (
      select array_agg(e.event_id)::text as event_ids,
        array_agg(round(date_part('epoch', e.time) * 1000)::bigint)::text as times,
        array_agg(e.value)::text as amounts,
        array_agg(e.currency)::text as currencies,
        ${props.length === 0 ? sql`null::json` : sql`json_agg(to_json(array[null::jsonb${propsWanted}]))`} as props,
        ${context.length === 0 ? sql`null::json` : contextOf(sql, context)} as context
      from ${source}
        and e.profile_id = ids.profile_id and e.event_id = any(ids.own)
        and e.time >= ids.first_at and e.time < ids.last_at
        ${sinceMs === undefined ? sql`` : sql`and e.time > at_ms(${sinceMs})`}
    ) found
    where found.event_ids is not null`
}

/** As an array's text: those of `named` that are wanted. Many people want the same, so each text is made once a group. */
function numbersOf(wanted: ReadonlySet<number> | undefined, named: Group['named'], texts: Texts): string {
  const known = texts.get(wanted)
  if (known !== undefined) return known
  const text = intArray([...named.keys()].filter((eventId) => wanted?.has(eventId) !== false))
  texts.set(wanted, text)
  return text
}

type Texts = Map<ReadonlySet<number> | undefined, string>

/** Nothing is inherited: a property may be called `constructor`. */
const NO_PROPS: Record<string, unknown> = Object.freeze(Object.create(null))

/** Where the parts stand in an event's envelope. */
const CONTEXT_PATHS: Record<ContextPart, string> = {
  campaign: '{context,campaign,name}',
  consent: '{context,consent,categoryPreferences}',
}

function contextOf(sql: Queryable, context: ContextPart[]) {
  const wanted = context.map((part) => sql`, e.envelope #> ${CONTEXT_PATHS[part]}::text[]`)
  return sql`json_agg(json_build_array(null::json${wanted}))`
}

function occurrencesOf(
  row: Row,
  named: Map<number, NamedEvent>,
  props: string[],
  context: ContextPart[],
): Occurrence[] {
  const times = itemsOf(row.times)
  const amounts = itemsOf(row.amounts)
  const currencies = itemsOf(row.currencies)
  return itemsOf(row.event_ids).flatMap((eventId, i) => {
    const name = named.get(Number(eventId))
    if (name === undefined) return []
    const amount = amounts[i]
    const currency = currencies[i]
    const found = row.props?.[i]
    const about = row.context?.[i]
    return {
      type: name.type,
      name: name.name,
      time: Number(times[i]),
      value: amount === undefined || amount === 'NULL' ? null : Number(amount),
      currency: currency === undefined || currency === 'NULL' ? null : currency,
      props: found === undefined ? NO_PROPS : propsOf(props, found),
      ...(about === undefined ? {} : { context: propsOf(context, about) }),
    }
  })
}

/** The text form of an array of numbers or currency codes, which need no quotes. */
function itemsOf(text: string): string[] {
  return text.slice(1, -1).split(',')
}

function propsOf(names: string[], found: unknown[]): Record<string, unknown> {
  const props: Record<string, unknown> = Object.create(null)
  for (const [i, name] of names.entries()) {
    const value = found[i + 1]
    if (value !== undefined && value !== null) props[name] = value
  }
  return props
}

/** They come partition by partition and name by name, each of these in order. */
function sortByTime(events: Occurrence[]): void {
  let last = Number.NEGATIVE_INFINITY
  for (const { time } of events) {
    if (time < last) {
      events.sort((a, b) => a.time - b.time)
      return
    }
    last = time
  }
}
