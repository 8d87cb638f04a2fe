// The link at the end of a message. Needs no key: the token in it is signed. GET only shows a page, since mail scanners
// follow links; POST acts, for the button of that page and for the one-click POST of mail programs (RFC 8058). Neither
// shows or logs who it is about.
import type { FastifyReply } from 'fastify'
import Type from 'typebox'
import { addressHash, addressOf } from '../domain/addresses.ts'
import { readUnsubscribeToken, type Unsubscribe } from '../domain/unsubscribe.ts'
import type { HttpServer } from '../runtime/http.ts'
import type { Channel } from '../schema/jobs.ts'
import { readProfile, survivingProfileId } from '../store/profiles.ts'
import { suppress } from '../store/suppressions.ts'
import type { ApiDeps } from './deps.ts'
import { evaluateReach } from './reach.ts'
import { typed } from './typed.ts'

const Params = Type.Object({ token: Type.String({ minLength: 1, maxLength: 512 }) })
const open = { config: { open: true }, schema: { hide: true, params: Params } }
const PATH = '/api/v1/unsubscribe/:token'

const MESSAGES: Record<Channel, string> = {
  email: 'mails',
  push: 'push messages',
  sms: 'text messages',
  webhook: 'messages',
}

export function unsubscribeRoutes(app: HttpServer, deps: ApiDeps): void {
  app.register(async (scope) => {
    // Mail programs send forms of either kind. The token says all there is to say, so the body is not looked at.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: 16_384 }, (_request, _body, done) =>
      done(null, undefined),
    )
    const routes = typed(scope)

    routes.get(PATH, open, async ({ params }, reply) => {
      const link = readUnsubscribeToken(deps.config.secret, params.token)
      if (link === undefined) return show(reply, 404, INVALID)
      return show(reply, 200, {
        title: 'Unsubscribe',
        text: `Do you want no more ${MESSAGES[link.channel]} from us?`,
        button: 'Yes, unsubscribe me',
      })
    })

    routes.post(PATH, open, async ({ params }, reply) => {
      const link = readUnsubscribeToken(deps.config.secret, params.token)
      if (link === undefined) return show(reply, 404, INVALID)
      await unsubscribe(deps, link)
      return show(reply, 200, {
        title: 'Done',
        text: `We will send you no more ${MESSAGES[link.channel]}.`,
      })
    })
  })
}

/** Suppresses the address that the person of the link has now; twice is once. Without an address there is nothing to do. */
async function unsubscribe(deps: ApiDeps, link: Unsubscribe): Promise<void> {
  const { sql, servers, config } = deps
  const { channel, campaignId } = link
  const profileId = await survivingProfileId(servers, link.profileId)
  const profile = profileId === undefined ? undefined : await readProfile(servers.of(profileId), profileId)
  const address = profile === undefined ? undefined : addressOf(channel, profile.traits)
  if (address === undefined) return
  const hash = addressHash(config.secret, channel, address)
  const changed = await suppress(sql, { channel, addressHash: hash, reason: 'unsubscribed', campaignId })
  if (changed) await evaluateReach(deps)
}

type Page = { title: string; text: string; button?: string }

const INVALID: Page = {
  title: 'This link does not work',
  text: 'It is not complete, or no longer valid. Please take the link from a newer message.',
}

function show(reply: FastifyReply, status: number, { title, text, button }: Page): FastifyReply {
  const form =
    button === undefined
      ? ''
      : `<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click"><button>${button}</button></form>`
  return reply
    .code(status)
    .type('text/html; charset=utf-8')
    .headers({
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-robots-tag': 'noindex',
      'x-content-type-options': 'nosniff',
      'content-security-policy':
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    })
    .send(
      `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${STYLE}</style></head><body><main><h1>${title}</h1><p>${text}</p>${form}</main></body></html>`,
    )
}

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;margin:0;display:grid;place-items:center;min-height:100vh;color:#1c1917;background:#fafaf9}main{padding:2rem;max-width:28rem}button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:.5rem;background:#0f766e;color:#fff;cursor:pointer}'
