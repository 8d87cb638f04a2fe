// Random messages of a few users on a few devices, some of them shared: what identity resolution is tried with.
import fc from 'fast-check'
import type { Mention } from '../../domain/identity.ts'

const ids = (kind: string, count: number) => fc.integer({ min: 1, max: count }).map((n) => `${kind}${n}`)
const user = fc.oneof(
  { weight: 8, arbitrary: ids('user', 4) },
  { weight: 1, arbitrary: fc.constant('guest') },
)
const device = fc.oneof(
  { weight: 8, arbitrary: ids('device', 4) },
  { weight: 1, arbitrary: fc.constant('00000000-0000-0000-0000-000000000000') },
)
const shape = fc.oneof(
  { weight: 3, arbitrary: fc.record({ anonymousId: device }) },
  { weight: 2, arbitrary: fc.record({ userId: user }) },
  { weight: 4, arbitrary: fc.record({ userId: user, anonymousId: device }) },
  {
    weight: 1,
    arbitrary: fc.record({ userId: user, previousId: fc.oneof(ids('user', 4), ids('device', 4)) }),
  },
)
/** Messages with few different times, so that ties are common. */
export const story: fc.Arbitrary<Mention[]> = fc
  .array(fc.tuple(shape, fc.integer({ min: 1, max: 6 })), { minLength: 1, maxLength: 16, size: 'max' })
  .map((messages) => messages.map(([ids, time], i) => ({ ...ids, time, messageId: `m${i}` })))
