// What the demo needs of a deployment: a source with a write key, a secret key, the segment of big spenders and one
// campaign on three channels. Made once; a later start finds them again.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkRule } from '../../domain/segments/version.ts'
import { createCampaign } from '../../store/campaigns.ts'
import { issueKey } from '../../store/keys.ts'
import { createSegment, readSegment } from '../../store/segments.ts'
import { ensureSource } from '../../store/sources.ts'
import type { Sql } from '../../store/sql.ts'

export type DemoNote = {
  /** The end of the shop's 60 days: the time of the first start, so that rolling windows mean something. */
  anchor: string
  writeKey: string
  secretKey: string
  /** Set once everything was sent and counted; a later start sends nothing again. */
  finishedAt?: string
  /** Entries that were expected when it finished: deliveries belong to them. */
  expectedDeliveries?: { email: number; push: number; webhook: number }
}

export const DEMO_SEED = 20261121
export const DEMO_SEGMENT = 'big-spenders'
export const DEMO_CAMPAIGN = 'Thank big spenders'

/** "Spent more than $1,000 and made more than 5 purchases in the last 30 days." */
export const DEMO_RULE = {
  $schema: 'segment/1',
  name: 'Big spenders',
  match: {
    k: 'all',
    of: [
      {
        k: 'agg',
        event: 'Order Completed',
        agg: 'sum',
        prop: 'revenue',
        window: { k: 'rolling', last: 'P30D' },
        op: 'gt',
        value: 1000,
      },
      {
        k: 'agg',
        event: 'Order Completed',
        agg: 'count',
        window: { k: 'rolling', last: 'P30D' },
        op: 'gt',
        value: 5,
      },
    ],
  },
}

/** Finds or makes all of it; the keys are kept in the data folder, as only their hashes are in the database. */
export async function setUpDemo(sql: Sql, dataDir: string, nowMs: number): Promise<DemoNote> {
  const known = readDemoNote(dataDir)
  const sourceId = await ensureSource(sql, 'demo-shop', {
    acceptEventsSince: new Date(nowMs - 400 * 86_400_000),
  })
  await ensureSegment(sql)
  if (known !== undefined) return known
  const pub = await issueKey(sql, { kind: 'pub', sourceId, name: 'demo' }, randomBytes(16))
  const secret = await issueKey(sql, { kind: 'sec', name: 'demo' }, randomBytes(16))
  // Whole minutes, so that a screen shows the same times as the data.
  const anchor = new Date(Math.floor(nowMs / 60_000) * 60_000).toISOString()
  const note: DemoNote = { anchor, writeKey: pub.key, secretKey: secret.key }
  writeDemoNote(dataDir, note)
  return note
}

async function ensureSegment(sql: Sql): Promise<void> {
  if ((await readSegment(sql, DEMO_SEGMENT)) !== undefined) return
  const segment = await createSegment(sql, {
    slug: DEMO_SEGMENT,
    name: 'Big spenders',
    ...checkRule(DEMO_RULE),
    author: 'demo',
    note: 'made by millrace start',
  })
  if (segment === undefined) return
  await createCampaign(sql, {
    name: DEMO_CAMPAIGN,
    segmentId: segment.segmentId,
    channels: [
      {
        channel: 'email',
        subject: 'Thank you, {{ profile.traits.firstName | default: "friend" }}',
        body: 'Hello {{ profile.traits.firstName | default: "friend" }},\n\nyou are one of our best customers this month. Here is 10 % off: THANKS10.\n\nUnsubscribe: {{ unsubscribeUrl }}\n',
        html: '<h1>Thank you, {{ profile.traits.firstName | default: "friend" }}</h1><p>You are one of our best customers this month. Here is 10&nbsp;% off: <b>THANKS10</b>.</p><p><a href="{{ unsubscribeUrl }}">Unsubscribe</a></p>',
      },
      { channel: 'push', subject: 'Thank you!', body: '10 % off with THANKS10, only for you.', html: null },
      { channel: 'webhook', subject: '', body: '', html: null },
    ],
  })
}

const fileOf = (dataDir: string) => join(dataDir, 'demo.json')

export function readDemoNote(dataDir: string): DemoNote | undefined {
  return existsSync(fileOf(dataDir)) ? JSON.parse(readFileSync(fileOf(dataDir), 'utf8')) : undefined
}

export function writeDemoNote(dataDir: string, note: DemoNote): void {
  writeFileSync(fileOf(dataDir), JSON.stringify(note, null, 2), { mode: 0o600 })
}
