// Signatures of outgoing webhooks, as Standard Webhooks has them (https://www.standardwebhooks.com): `v1,` and the
// base64 HMAC-SHA256 over `id.timestamp.body`. Pure.
import { createHmac } from 'node:crypto'

/** Headers of one webhook; `secret` is `whsec_<base64>`, `timestampS` seconds since the epoch. */
export function signWebhook(
  secret: string,
  message: { id: string; timestampS: number; body: string },
): Record<string, string> {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const signature = createHmac('sha256', key)
    .update(`${message.id}.${message.timestampS}.${message.body}`)
    .digest('base64')
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(message.timestampS),
    'webhook-signature': `v1,${signature}`,
  }
}
