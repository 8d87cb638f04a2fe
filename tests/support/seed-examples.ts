// The things that the examples of the API's description speak of: `user-42`, profile 1234567, source 1, key 3, the list
// `trade-fair`, the draft of the segment `loyal`, a few failures. Returns a write key of source 1.
import { randomBytes } from 'node:crypto'
import { checkRule } from '../../domain/segments/version.ts'
import { recordFailedEvents } from '../../store/failed-events.ts'
import { issueKey } from '../../store/keys.ts'
import { replaceList } from '../../store/lists.ts'
import { saveDraft } from '../../store/segment-drafts.ts'
import { createSegment } from '../../store/segments.ts'
import { normalBatch, normalEvent } from './factory.ts'
import { inPieces } from './list-pieces.ts'
import { seedPeople } from './seed-people.ts'
import type { World } from './world.ts'

export async function seedExamples(world: World): Promise<string> {
  const { sql } = world
  await seedPeople(world)
  const { key } = await issueKey(sql, { kind: 'pub', sourceId: 1, name: 'web' }, randomBytes(16))
  await issueKey(sql, { kind: 'sec', name: 'to be revoked' }, randomBytes(16))
  await sql`
    insert into profiles (bucket, profile_id, first_id, first_seen, last_seen)
    values (${1234567 % 1024}, 1234567, 'anon-example', now(), now())`
  await sql`insert into identities (kind, value, profile_id) values (1, 'anon-example', 1234567)`
  await replaceList(sql, 'trade-fair', inPieces(['user-42', 'user-7']))
  const known = { name: 'Loyal', slug: 'loyal', author: '', note: '' }
  const loyal = await createSegment(sql, {
    ...known,
    ...checkRule({ match: { k: 'trait', path: 'plan', op: 'exists' } }),
  })
  const edit = checkRule({ match: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } })
  await saveDraft(sql, loyal?.segmentId ?? 0, { ...edit, author: '', note: 'gold alone' })
  // As if its run were over: nobody works here.
  await sql`update segment_versions set status = 'draft' where status = 'building'`
  await sql`update segment_runs set state = 'done'`
  for (let i = 1; i <= 5; i++) {
    await recordFailedEvents(sql, [
      {
        failedKey: `example-${i}`,
        stage: 'persist',
        code: 'row_rejected',
        reason: 'Postgres refused the row',
        messageId: `m-failed-${i}`,
        payload: JSON.stringify(normalBatch([normalEvent({ userId: 'user-42' })])),
      },
    ])
  }
  return key
}
