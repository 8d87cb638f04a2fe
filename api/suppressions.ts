// Suppressions: addresses that are never written to. Only a keyed hash is kept, so an address is asked about in a body
// and can never be listed.
import Type from 'typebox'
import { addressHash, isEmailAddress } from '../domain/addresses.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { isSuppressed, liftSuppression, suppress } from '../store/suppressions.ts'
import { actorOf } from './admission.ts'
import type { ApiDeps } from './deps.ts'
import { evaluateReach } from './reach.ts'
import { typed } from './typed.ts'

const tags = ['suppressions']

const Address = Type.Object(
  {
    channel: Type.Enum(['email', 'push', 'sms']),
    address: Type.String({
      minLength: 1,
      maxLength: 4096,
      description: 'Mail address, push token or phone number; never stored',
    }),
  },
  { additionalProperties: false, examples: [{ channel: 'email', address: 'ada@example.com' }] },
)
type Address = { channel: 'email' | 'push' | 'sms'; address: string }

const Answer = Type.Object({
  suppressed: Type.Boolean({ description: 'Whether the address is suppressed now' }),
  changed: Type.Boolean({ description: 'False = it was so before' }),
})

export function suppressionRoutes(app: HttpServer, deps: ApiDeps): void {
  const { sql, config } = deps
  const routes = typed(app)
  const hashOf = ({ channel, address }: Address): Buffer => {
    if (channel === 'email' && !isEmailAddress(address.trim()))
      throw fail('invalid_request', 'this is not a mail address', { field: 'address' })
    return addressHash(config.secret, channel, address)
  }

  routes.post(
    '/api/v1/suppressions',
    {
      schema: {
        tags,
        summary: 'Suppress an address',
        description: 'Nothing is sent to it on this channel until the suppression is lifted.',
        body: Address,
        response: { 200: Answer },
      },
    },
    async (request) => {
      const { channel } = request.body
      const changed = await suppress(sql, { channel, addressHash: hashOf(request.body), reason: 'manual' })
      if (changed)
        await recordAudit(sql, { actor: actorOf(request), action: 'suppression.add', details: { channel } })
      if (changed) await evaluateReach(deps)
      return { suppressed: true, changed }
    },
  )

  routes.post(
    '/api/v1/suppressions/lift',
    {
      schema: {
        tags,
        summary: 'Lift the suppression of an address',
        description: 'Also one that the person asked for: only do it when they ask for messages again.',
        body: Address,
        response: { 200: Answer },
      },
    },
    async (request) => {
      const { channel } = request.body
      const changed = await liftSuppression(sql, channel, hashOf(request.body))
      if (changed)
        await recordAudit(sql, { actor: actorOf(request), action: 'suppression.lift', details: { channel } })
      if (changed) await evaluateReach(deps)
      return { suppressed: false, changed }
    },
  )

  routes.post(
    '/api/v1/suppressions/check',
    {
      schema: {
        tags,
        summary: 'Ask whether an address is suppressed',
        body: Address,
        response: { 200: Type.Object({ suppressed: Type.Boolean() }) },
      },
    },
    async ({ body }) => ({ suppressed: await isSuppressed(sql, body.channel, hashOf(body)) }),
  )
}
