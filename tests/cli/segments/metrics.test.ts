// millrace metrics against the API of a deployment with real servers.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { persist } from '../../../queues/pipeline.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { schedulePool } from '../../../workers/schedule/pool.ts'
import { type ApiServer, startApi } from '../../support/api-server.ts'
import { runMillrace } from '../../support/cli.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const dir = mkdtempSync(join(tmpdir(), 'millrace-metrics-'))
const fileOf = (name: string, value: unknown) => {
  writeFileSync(join(dir, name), JSON.stringify(value))
  return join(dir, name)
}
const ORDERS = { k: 'agg', event: 'Order Completed', agg: 'count', window: { k: 'lifetime' } }
let world: World
let api: ApiServer
let env: Record<string, string>
const millrace = (...args: string[]) => runMillrace(['metrics', ...args], env)

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  await world.run(schedulePool)
  api = await startApi(world)
  env = { MILLRACE_API_URL: api.url, MILLRACE_API_KEY: api.key, MILLRACE_DATA_DIR: world.config.dataDir }
  const order = { userId: 'anna', name: 'Order Completed', currency: 'USD', value: '1050' }
  await world.sender.send(persist, [
    normalBatch([normalEvent(order), normalEvent({ ...order, userId: 'ben' }), normalEvent(order)]),
  ])
  await waitFor(async () => (await world.sql`select 1 from events`).length === 3)
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('a metric is made, looked at, given another definition, and archived', async () => {
  expect((await millrace()).out).toContain('There is no metric yet')
  expect(await millrace('create', 'orders', '--definition', fileOf('orders.json', ORDERS))).toEqual({
    code: 0,
    out: 'orders is there. What it is of somebody: millrace metrics values USER\n',
    err: '',
  })
  expect((await millrace('list')).out).toMatch(/^SLUG +VERSION +CREATED +NAME\norders +1 +2\S+ +orders\n$/)
  expect((await millrace('values', 'anna')).out).toMatch(/^METRIC +VALUE +EVENTS\norders +2 +2\n$/)
  expect(JSON.parse((await millrace('show', 'orders', '--definition-only')).out)).toEqual(ORDERS)

  const spent = { ...ORDERS, agg: 'sum', prop: 'revenue', currency: 'USD' }
  expect((await millrace('edit', 'orders', '--definition', fileOf('spent.json', spent))).out).toBe(
    'Version 2 of orders counts from now on. No live segment names it.\n',
  )
  expect((await millrace('edit', 'orders', '--definition', fileOf('spent.json', spent))).out).toContain(
    'nothing was changed',
  )
  expect((await millrace('values', 'anna')).out).toMatch(/orders +21 +2\n/)

  expect((await millrace('archive', 'orders')).out).toContain('Nothing was done: add --yes')
  expect((await millrace('archive', 'orders', '--yes')).out).toBe(
    'orders is archived; its versions are kept.\n',
  )
  expect((await millrace('archive', 'orders', '--yes')).out).toContain('was archived before')
})

test('cut points come when they are asked for, and are shown by tenths', async () => {
  await millrace('create', 'count', '--definition', fileOf('orders.json', ORDERS))
  expect((await millrace('cuts', 'count')).out).toContain('There are no cut points of count yet')
  expect((await millrace('cuts', 'count', '--keep')).code).toBe(0)
  const shown = () => millrace('cuts', 'count')
  await waitFor(async () => (await shown()).out.startsWith('Cut points 1 of count, of 2 people'))
  expect((await shown()).out).toMatch(/BELOW +VALUE\n +10 % +1\n.* +90 % +2\n$/s)
})

test('what is mistyped or wrong is told with what was meant', async () => {
  expect((await millrace('show', 'cuont')).err).toContain('did you mean count?')
  const wrong = fileOf('wrong.json', { ...ORDERS, agg: 'cuont' })
  expect((await millrace('create', 'wrong', '--definition', wrong)).err).toMatch(
    /definition\.agg expected one of count, /,
  )
  expect((await millrace('create', 'wrong')).err).toContain(
    'name the file of the definition with --definition',
  )
})
