// Since when a trait is what it is, as persist keeps it: whatever the order of arrival, the grouping and the merges, it is what
// all the calls say, and it stays when the events are gone.
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { persist } from '../../../queues/pipeline.ts'
import type { NormalEvent } from '../../../schema/event.ts'
import { readProfileStates } from '../../../store/memberships.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { START, statements } from '../../support/random-lives.ts'
import { type OracleStatement, traitsAt } from '../../support/segment-oracle.ts'
import { plainSince } from '../../support/told-traits.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const seed = Number(process.env.MILLRACE_TEST_SEED ?? Date.now() % 2 ** 31)
const NAMES = ['tier', 'vip', 'seat']

let world: World
let sent = 0
beforeEach(async () => {
  world = await testWorld()
  sent = 0
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
})
afterEach(() => world.close())

async function keep(events: NormalEvent[]): Promise<void> {
  if (events.length === 0) return
  sent += events.length
  await world.sender.send(persist, [normalBatch(events)])
  await waitFor(async () => (await world.sql`select 1 from events`).length === sent)
}

type Ids = { userId?: string; anonymousId?: string }
const identify = (ids: Ids, { time, traits }: OracleStatement, messageId: string) =>
  normalEvent({
    ...{ ...ids, type: 'identify', name: '', time, traits, messageId },
    properties: JSON.stringify(traits),
  })

async function sinceOf(userId: string) {
  const [row] = await world.sql<{ profile_id: number }[]>`
    select profile_id from identities where kind = 0 and value = ${userId}`
  const [state] = await readProfileStates(world.sql, [row?.profile_id ?? 0], true, NAMES)
  return { traits: state?.traits, since: state?.traitSince }
}

function expected(all: OracleStatement[]) {
  const traits = traitsAt({ statements: all }, Number.POSITIVE_INFINITY)
  return {
    traits,
    since: Object.fromEntries(Object.keys(traits).map((name) => [name, plainSince(all, name)])),
  }
}

test('calls in any order, in any groups, and said under two ids that turn out to be one', async () => {
  const people = fc
    .sample(fc.tuple(statements, statements), { seed, numRuns: 40 })
    .map(([one, other]) => [...one, ...other])
  const idOf = (person: number, at: number) => `p${person}-${String(at).padStart(4, '0')}`
  const calls = people.flatMap((all, person) =>
    all.map((statement, at) => {
      const ids = at % 2 === 0 ? { userId: `user-${person}` } : { anonymousId: `anon-${person}` }
      return identify(ids, statement, idOf(person, at))
    }),
  )
  const links = people.map((_, person) =>
    normalEvent({ userId: `user-${person}`, anonymousId: `anon-${person}`, time: START }),
  )
  const [order = []] = fc.sample(
    fc.shuffledSubarray([...calls, ...links], { minLength: calls.length + links.length }),
    { seed, numRuns: 1 },
  )
  for (let from = 0; from < order.length; from += 60) await keep(order.slice(from, from + 60))
  for (const [person, all] of people.entries()) {
    const { traits, since } = await sinceOf(`user-${person}`)
    const plain = expected(all)
    const named = Object.fromEntries(Object.keys(plain.since).map((name) => [name, since?.[name]]))
    expect({ traits, since: named }, `user-${person} of MILLRACE_TEST_SEED=${seed}`).toEqual(plain)
  }
}, 120_000)

test('a trait that is said again and again keeps its beginning when the first events are dropped', async () => {
  const ann = { userId: 'ann' }
  const said = (hours: number, tier: string) => ({ time: START + hours * 3_600_000, traits: { tier } })
  await keep([identify(ann, said(-30, 'gold'), 'a-1')])
  await keep([identify(ann, said(-10, 'gold'), 'a-2')])
  await world.sql`delete from events where message_id = 'a-1'`
  sent -= 1
  // Late, in the midst of it, and the same: all that is kept is looked at, and the beginning is remembered.
  await keep([identify(ann, said(-40, 'free'), 'a-3'), identify(ann, said(-20, 'gold'), 'a-4')])
  expect((await sinceOf('ann')).since).toEqual({ tier: said(-30, '').time })
  await keep([identify(ann, said(-15, 'free'), 'a-5')])
  expect((await sinceOf('ann')).since).toEqual({ tier: said(-10, '').time })
})
