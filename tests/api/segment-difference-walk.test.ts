// A difference over more people than one request looks at, on two Postgres servers: counts go on from their cursor until they are
// exact, pages show everybody once, and what comes in meanwhile changes nothing in what was asked.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createRandom } from '../../cli/demo/random.ts'
import { checkRule } from '../../domain/segments/version.ts'
import { addVersion, createSegment } from '../../store/segments.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { changeOf, writeAll } from '../support/feed-writer.ts'
import { addHashedPeople } from '../support/hashed-people.ts'
import { testWorld, type World } from '../support/world.ts'

// Many requests one after the other; the time is a limit, not a measure.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

const PEOPLE = 5_000
const random = createRandom(11, 'differences')
const people = Array.from({ length: PEOPLE }, (_, i) => ({
  userId: `person-${i}`,
  traits: { a: random.chance(0.3), b: random.chance(0.4) },
}))
const ruleOf = (path: string) => checkRule({ match: { k: 'trait', path, op: 'eq', value: true } })
const count = (fits: (traits: { a: boolean; b: boolean }) => boolean) =>
  people.filter(({ traits }) => fits(traits)).length

let world: World
/** Its clock is a minute later at each look: every request makes one step. */
let api: ApiServer
let ids: number[]
let segmentId: number

beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  ids = await addHashedPeople(world.servers, people)
  const names = { slug: 'followed', name: 'Followed', author: '', note: '' }
  segmentId = (await createSegment(world.sql, { ...names, ...ruleOf('a') }))?.segmentId ?? 0
  await addVersion(world.sql, segmentId, { author: '', note: '', ...ruleOf('b') })
  let now = Date.now()
  api = await startApi(world, { clock: { now: () => (now += 60_000) } })
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

const path = '/api/v1/segments/followed/difference'
type Looks = { looks: Record<string, unknown>[]; last: Record<string, unknown> | undefined }

async function follow(query: string, between: () => Promise<void> = async () => {}): Promise<Looks> {
  const looks: Record<string, unknown>[] = []
  for (let cursor = ''; ; ) {
    const { status, body } = await api.get(`${path}?${query}${cursor}`)
    expect([status, body]).toEqual([200, expect.anything()])
    looks.push(body)
    if (body.nextCursor === null) return { looks, last: looks.at(-1) }
    cursor = `&cursor=${body.nextCursor}`
    await between()
  }
}

async function pages(query: string, limit: number, between: () => Promise<void> = async () => {}) {
  const data: { profileId: number; userId: string; op: string }[] = []
  for (let cursor = ''; ; ) {
    const { status, body } = await api.get(`${path}/people?${query}&limit=${limit}${cursor}`)
    expect(status).toBe(200)
    data.push(...body.data)
    if (body.nextCursor === null) return data
    cursor = `&cursor=${body.nextCursor}`
    await between()
  }
}

test('of two versions estimates narrow down to the exact numbers, and pages show those people', async () => {
  const entered = count(({ a, b }) => b && !a)
  const left = count(({ a, b }) => a && !b)
  const stayed = count(({ a, b }) => a && b)
  const { looks, last } = await follow('from=1&to=2')
  expect(looks.length).toBeGreaterThan(4)
  expect(last).toMatchObject({ entered, left, stayed, of: PEOPLE, share: 1, complete: true })
  const exact = (members: number) => ({ members, low: members, high: members })
  expect(last?.estimate).toEqual({ entered: exact(entered), left: exact(left), stayed: exact(stayed) })
  type Told = { estimate: Record<string, { low: number; high: number }> }
  const widths = looks.map((look) => {
    const { low = 0, high = 0 } = (look as unknown as Told).estimate.entered ?? {}
    return high - low
  })
  expect(widths.at(-1)).toBe(0)
  expect(widths.at(-2)).toBeLessThan((widths.at(-4) ?? 0) / 2)
  for (const limit of [211, 500]) {
    const moved = await pages('from=1&to=2', limit)
    expect(new Set(moved.map((one) => one.profileId)).size).toBe(moved.length)
    const users = (op: string) => moved.filter((one) => one.op === op).map((one) => one.userId)
    expect(new Set(users('enter'))).toEqual(
      new Set(people.filter(({ traits }) => traits.b && !traits.a).map(({ userId }) => userId)),
    )
    expect(users('exit')).toHaveLength(left)
  }
  expect(await pages('from=1&to=2&op=exit', 500)).toHaveLength(left)
  const { body } = await api.get(`${path}?from=1&to=2`)
  const other = await api.get(`${path}?from=2&to=1&cursor=${body.nextCursor}`)
  expect([other.status, other.body.code]).toEqual([409, 'conflict'])
})

test('as known then it is the same, however many enter and leave while it is read', async () => {
  const change = (op: 'enter' | 'exit', some: number[]) =>
    writeAll(
      world.servers,
      some.map((id) => changeOf(id, { segmentId, op })),
    )
  const now = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5))
    const [row] = await world.sql<{ ms: number }[]>`
      select round(extract(epoch from clock_timestamp()) * 1000)::bigint as ms`
    await new Promise((resolve) => setTimeout(resolve, 5))
    return new Date(row?.ms ?? 0).toISOString()
  }
  await change('enter', ids.slice(0, 3_000))
  const from = await now()
  await change('exit', ids.slice(0, 1_000))
  await change('enter', ids.slice(3_000, 4_500))
  // In at both, out in between.
  await change('exit', ids.slice(1_000, 1_100))
  await change('enter', ids.slice(1_000, 1_100))
  const to = await now()
  let at = 0
  const meanwhile = async () => {
    await change(at % 2 === 0 ? 'exit' : 'enter', ids.slice(1_500, 1_700))
    await change('enter', ids.slice(4_500 + at * 20, 4_520 + at * 20))
    at += 1
  }
  const query = `from=${from}&to=${to}`
  const { looks, last } = await follow(query, meanwhile)
  expect(looks.length).toBeGreaterThan(2)
  expect(looks[0]).toMatchObject({ estimate: null, complete: false })
  const shares = looks.map((look) => Number(look.share))
  expect(shares).toEqual(shares.toSorted((a, b) => a - b))
  expect(last).toMatchObject({ entered: 1_500, left: 1_000, stayed: 2_000, complete: true, known: 'then' })
  const moved = await pages(query, 400, meanwhile)
  const of = (op: string) => moved.filter((one) => one.op === op).map((one) => one.profileId)
  expect(of('enter').toSorted((a, b) => a - b)).toEqual(ids.slice(3_000, 4_500).toSorted((a, b) => a - b))
  expect(of('exit').toSorted((a, b) => a - b)).toEqual(ids.slice(0, 1_000).toSorted((a, b) => a - b))
})
