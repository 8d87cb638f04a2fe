// Judges what the segment pool has written against a plain evaluator of rules: that each change was right by what its pass could know,
// that changes of a person and segment take turns, and that who is in is who should be. Needs track_commit_timestamp.

import { shardOfProfile } from '../../domain/buckets.ts'
import type { Rule } from '../../schema/rule.ts'
import { intArray } from '../../store/arrays.ts'
import { inTransaction, type Queryable, type Sql } from '../../store/sql.ts'
import { isMember, type OracleEvent, type OraclePerson } from '../support/segment-oracle.ts'

export type JudgedSegment = { segmentId: number; slug: string; rule: Rule }
type Known = OracleEvent & { committedMs: number; traits?: Record<string, unknown> }
type Change = {
  changeId: number
  profileId: number
  segmentId: number
  op: 'enter' | 'exit'
  reason: string
  effectiveMs: number
  recordedMs: number
}
type Pass = {
  asOfMs: number
  committedMs: number
  entered: number
  exited: number
  found: { enter: number; exit: number }
}
export type ChangeVerdict = {
  changes: number
  byReason: Record<string, number>
  /** An entry of somebody who was in, or an exit of somebody who was not. */
  doubled: number
  /** The rule said otherwise at its instant. */
  contradictory: number
  /** It is put down to time, and nothing turned at its instant; or to an event, and is not of its pass's instant. */
  mistimed: number
  /** No pass has written it, or a pass has written others than its row counts. */
  unaccounted: number
  examples: string[]
}

/** From the commit record of a transaction until others see its rows; the disk is waited for in between. */
const UNTIL_VISIBLE_MS = 2_000

/** Everybody's events in the order in which they became known. */
export async function readKnown(sql: Queryable): Promise<Map<number, Known[]>> {
  const rows = await sql<
    {
      profileId: number
      type: string
      name: string
      time: Date
      value: number | null
      currency: string | null
      properties: Record<string, unknown>
      committed: number
    }[]
  >`
    select e.profile_id as "profileId", n.type, n.name, e.time, e.value, e.currency, e.properties,
      extract(epoch from pg_xact_commit_timestamp(e.xmin))::float8 * 1000 as committed
    from events e join event_names n using (event_id)
    order by committed, e.time`
  const known = new Map<number, Known[]>()
  for (const { profileId, time, value, currency, committed, properties, ...row } of rows) {
    const event: Known = {
      ...{ ...row, properties, time: time.getTime(), committedMs: committed },
      ...(value === null ? {} : { value }),
      ...(currency === null ? {} : { currency }),
      ...(row.type === 'identify' ? { traits: properties } : {}),
    }
    const own = known.get(profileId)
    if (own === undefined) known.set(profileId, [event])
    else own.push(event)
  }
  return known
}

function personOf(profileId: number, events: Known[], segments: Record<string, Rule>): OraclePerson {
  const traits: Record<string, unknown> = {}
  for (const one of events.toSorted((a, b) => a.time - b.time)) Object.assign(traits, one.traits)
  return { profileId, traits, events, segments }
}

const rulesOf = (segments: JudgedSegment[]) => Object.fromEntries(segments.map((one) => [one.slug, one.rule]))

export async function judgeChanges(
  sql: Sql,
  segments: JudgedSegment[],
  shards: number,
): Promise<ChangeVerdict> {
  const known = await readKnown(sql)
  const changes = await readChanges(sql)
  const passes = await readPasses(sql)
  const ruleOf = new Map(segments.map((one) => [one.segmentId, one]))
  const rules = rulesOf(segments)
  const verdict: ChangeVerdict = {
    ...{ changes: changes.length, byReason: {}, doubled: 0, contradictory: 0, mistimed: 0 },
    ...{ unaccounted: 0, examples: [] },
  }
  const inNow = new Set<string>()
  for (const change of changes) {
    const { profileId, segmentId, op, reason, effectiveMs, recordedMs } = change
    const pass = writerOf(passes.get(shardOfProfile(profileId, shards)) ?? [], recordedMs)
    const key = `${segmentId} ${profileId}`
    const segment = ruleOf.get(segmentId)
    verdict.byReason[reason] = (verdict.byReason[reason] ?? 0) + 1
    const found = (what: 'doubled' | 'contradictory' | 'mistimed' | 'unaccounted') => {
      verdict[what] += 1
      if (verdict.examples.length < 5)
        verdict.examples.push(`${what}: ${segment?.slug} ${JSON.stringify(change)}`)
    }
    if (inNow.has(key) === (op === 'enter')) found('doubled')
    if (op === 'enter') inNow.add(key)
    else inNow.delete(key)
    if (segment === undefined || pass === undefined) {
      found('unaccounted')
      continue
    }
    pass.found[op] += 1
    const { asOfMs } = pass
    const possible = knownTo(known.get(profileId) ?? [], asOfMs, recordedMs).map((events) => {
      const person = personOf(profileId, events, rules)
      const says = (atMs: number) => isMember(segment.rule, person, atMs) === (op === 'enter')
      return { isRight: says(effectiveMs), wasAlready: says(effectiveMs - 1) }
    })
    if (!possible.some((one) => one.isRight)) found('contradictory')
    else if (reason === 'time' && !possible.some((one) => one.isRight && !one.wasAlready)) found('mistimed')
    else if (reason === 'time' ? effectiveMs > asOfMs : effectiveMs !== asOfMs) found('mistimed')
  }
  for (const { entered, exited, found } of new Set([...passes.values()].flat()))
    if (entered !== found.enter || exited !== found.exit) verdict.unaccounted += 1
  return verdict
}

/** What the pass can have read: all that was there before it began, and perhaps what was committed until it wrote. */
function knownTo(events: Known[], asOfMs: number, recordedMs: number): Known[][] {
  const sure = events.filter((one) => one.committedMs < asOfMs - UNTIL_VISIBLE_MS).length
  const most = events.filter((one) => one.committedMs <= recordedMs).length
  return Array.from({ length: most - sure + 1 }, (_, i) => events.slice(0, sure + i))
}

async function readChanges(sql: Sql): Promise<Change[]> {
  const rows = await sql<
    (Omit<Change, 'effectiveMs' | 'recordedMs'> & { effective: Date; recorded: Date })[]
  >`
    select c.change_id as "changeId", c.profile_id as "profileId", c.segment_id as "segmentId", c.op, c.reason,
      c.effective_at as effective, c.recorded_at as recorded
    from membership_changes c
    order by c.change_id`
  return rows.map(({ effective, recorded, ...row }) => ({
    ...row,
    effectiveMs: effective.getTime(),
    // Rounded up: it is where the pass has certainly read all that it has read.
    recordedMs: recorded.getTime() + 1,
  }))
}

/** By shard, in the order in which they held its lock. */
async function readPasses(sql: Sql): Promise<Map<number, Pass[]>> {
  const rows = await sql<
    { asOf: Date; committed: number; shards: number[]; entered: number; exited: number }[]
  >`
    select as_of as "asOf", shards, entered, exited,
      extract(epoch from pg_xact_commit_timestamp(xmin))::float8 * 1000 as committed
    from segment_passes
    order by as_of`
  const byShard = new Map<number, Pass[]>()
  for (const { asOf, committed, shards, entered, exited } of rows) {
    const counts = { entered, exited, found: { enter: 0, exit: 0 } }
    const pass = { asOfMs: asOf.getTime(), committedMs: committed, ...counts }
    for (const shard of shards) {
      const own = byShard.get(shard)
      if (own === undefined) byShard.set(shard, [pass])
      else own.push(pass)
    }
  }
  return byShard
}

/** One pass at a time writes a shard: the last that began before, if it was not over yet. */
function writerOf(passes: Pass[], recordedMs: number): Pass | undefined {
  const last = passes.findLast((one) => one.asOfMs < recordedMs)
  return last !== undefined && recordedMs <= last.committedMs + 2 ? last : undefined
}

export type MemberVerdict = { people: number; members: number; wrong: number; examples: string[] }

/**
 * Who is in against who should be now, in one snapshot. Somebody whose timer is due is left out, as time has changed what is still to
 * be looked at; `people` says how many are left.
 */
export async function judgeMembers(sql: Sql, segments: JudgedSegment[]): Promise<MemberVerdict> {
  const rules = rulesOf(segments)
  const verdict: MemberVerdict = { people: 0, members: 0, wrong: 0, examples: [] }
  const found = await inTransaction(sql, async (tx) => {
    await tx`set transaction isolation level repeatable read`
    const known = await readKnown(tx)
    const atMs = Date.now()
    const ids = segments.map((one) => one.segmentId)
    const members = await tx<{ segment_id: number; profile_id: number }[]>`
      select segment_id, profile_id from memberships where segment_id = any(${intArray(ids)}::int[])`
    const due = await tx<{ profile_id: number }[]>`
      select profile_id from segment_timers where wake_at <= at_ms(${atMs})`
    return { known, atMs, members, due: new Set(due.map((one) => one.profile_id)) }
  })
  const isIn = new Set(found.members.map((one) => `${one.segment_id} ${one.profile_id}`))
  for (const [profileId, events] of found.known) {
    if (found.due.has(profileId)) continue
    verdict.people += 1
    const person = personOf(profileId, events, rules)
    for (const { segmentId, slug, rule } of segments) {
      const expected = isMember(rule, person, found.atMs)
      if (expected) verdict.members += 1
      if (expected === isIn.has(`${segmentId} ${profileId}`)) continue
      verdict.wrong += 1
      if (verdict.examples.length < 5)
        verdict.examples.push(`${slug}: ${profileId} should ${expected ? '' : 'not '}be in at ${found.atMs}`)
    }
  }
  return verdict
}

export type OutputVerdict = {
  expected: number
  missing: number
  unexpected: number
  doubled: number
  unannounced: number
}

/** Of each entry one delivery a campaign and channel, and of each change word that it was handed on. */
export async function judgeOutput(sql: Sql): Promise<OutputVerdict> {
  const [row] = await sql<OutputVerdict[]>`
    with wanted as (
      select c.campaign_id, m.change_id, ch.channel
      from membership_changes m
      join campaigns c on c.segment_id = m.segment_id and m.reason = any(c.trigger_reasons)
      join campaign_channels ch using (campaign_id)
      where m.op = 'enter'
    ), made as (
      select campaign_id, change_id, channel, count(*) as times from deliveries group by 1, 2, 3
    )
    select count(w)::int as expected, count(*) filter (where m is null)::int as missing, count(*) filter (where w is null)::int as unexpected,
      count(*) filter (where m.times > 1)::int as doubled,
      (select count(*)::int from membership_changes where announced_at is null) as unannounced
    from wanted w full join made m using (campaign_id, change_id, channel)`
  if (row === undefined) throw new Error('a count has no row')
  return row
}
