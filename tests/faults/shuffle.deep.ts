// Every message is sent twice, in a random order each time, through two collectors at once: what is known of every
// person afterwards is exactly what one orderly sender would have told.
import { afterAll, expect, test } from 'vitest'
import { createRandom } from '../../cli/demo/random.ts'
import { openBatchSender } from '../../cli/demo/send.ts'
import { generateShop } from '../../cli/demo/shop.ts'
import { type PoolProcess, startPoolProcess } from '../../cli/local/children.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { printTable } from './judge.ts'
import { differences, type Snapshot, snapshotPeople } from './people-snapshot.ts'

const SEED = 20261121
const messages = generateShop({ seed: SEED, anchor: new Date(), users: 150, targetEvents: 7_500 })
const standing: { close(): Promise<void> }[] = []

const takeDown = async () => {
  for (const one of standing.splice(0).reverse()) await one.close()
}
afterAll(takeDown, 60_000)

async function bringUp(): Promise<Deployment> {
  const deployment = await startDeployment({})
  standing.push(deployment)
  return deployment
}

async function secondCollector({ stack }: Deployment): Promise<PoolProcess> {
  const process = await startPoolProcess({
    pools: ['collector'],
    env: { ...stack.env, MILLRACE_HTTP_PORT: '0' },
    logDir: undefined,
    stopDeadlineMs: stack.config.stopDeadlineMs,
  })
  standing.push({ close: () => process.stop() })
  return process
}

/** In batches, a few at a time; returns how many were accepted. */
async function sendAll(httpUrl: string, writeKey: string, all: unknown[], lines: number): Promise<number> {
  const sender = openBatchSender({ httpUrl, writeKey, connections: lines })
  let at = 0
  const line = async () => {
    while (at < all.length) {
      const batch = all.slice(at, at + 50)
      at += batch.length
      await sender.send(batch)
    }
  }
  await Promise.all(Array.from({ length: lines }, line))
  sender.close()
  return sender.totals.accepted
}

function shuffled<T>(items: T[], purpose: string): T[] {
  const random = createRandom(SEED, purpose)
  return items
    .map((item) => ({ item, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)
}

test('twice and shuffled through two collectors gives the same people, sessions and members as once in order', async () => {
  const orderly = await bringUp()
  const once = await sendAll(orderly.httpUrl, orderly.note.writeKey, messages, 1)
  await orderly.settled(60_000)
  const expected: Snapshot = await snapshotPeople(orderly.sql)
  await takeDown()

  const wild = await bringUp()
  const other = (await secondCollector(wild)).addresses().http ?? ''
  expect(other).not.toBe(wild.httpUrl)
  const sent = await Promise.all([
    sendAll(wild.httpUrl, wild.note.writeKey, shuffled(messages, 'first'), 3),
    sendAll(other, wild.note.writeKey, shuffled(messages, 'second'), 3),
  ])
  await wild.settled(60_000)
  const got = await snapshotPeople(wild.sql)
  const conflicts = await wild.sql`select 1 from failed_events`

  const count = (snapshot: Snapshot) =>
    Object.entries(snapshot).map(([table, lines]) => `${lines.length} ${table}`)
  const different = differences(expected, got)
  printTable('Every message twice, shuffled, through two collectors', {
    seed: SEED,
    accepted: [once, ...sent],
    'in order': count(expected),
    'shuffled twice': count(got),
    differences: different.length,
  })
  expect(once).toBe(messages.length)
  expect(sent).toEqual([messages.length, messages.length])
  expect(different.slice(0, 5)).toEqual([])
  expect(got.events).toHaveLength(messages.length)
  expect(got.memberships.length).toBeGreaterThan(0)
  expect(conflicts).toHaveLength(0)
}, 240_000)
