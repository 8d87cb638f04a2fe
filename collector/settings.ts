// What Segment's browser SDK asks for before it sends: its settings, which point it back here. Called by browsers with
// a public key in the path.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { fail, MillraceError } from '../runtime/errors.ts'
import type { KeyCache } from './key-cache.ts'
import { Problem } from './schemas.ts'

const ALLOWED = { __default: { enabled: true, integrations: {} } }

/** `GET /v1/projects/:writeKey/settings` for AnalyticsBrowser.load({ writeKey, cdnURL }). */
export function settingsRoute(app: FastifyInstance, keys: KeyCache, publicUrl: string): void {
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  app.setValidatorCompiler(() => () => true)
  app.route<{ Params: { writeKey: string } }>({
    method: 'GET',
    url: '/v1/projects/:writeKey/settings',
    config: { open: true },
    schema: {
      tags: ['events'],
      summary: 'Settings of Segment’s browser SDK',
      params: Type.Object({ writeKey: Type.String() }),
      response: { 200: Type.Record(Type.String(), Type.Unknown()), 404: Problem },
    },
    async handler(request, reply) {
      const { writeKey } = request.params
      await mustBeWriteKey(keys, writeKey)
      reply.header('cache-control', 'private, max-age=300')
      return settingsOf(writeKey, ownAddress(request, publicUrl))
    },
  })
}

async function mustBeWriteKey(keys: KeyCache, writeKey: string): Promise<void> {
  try {
    const { writer } = await keys.find(writeKey)
    if (writer !== undefined) return
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'unauthorized') throw error
    throw fail('not_found', error.detail, { cause: error })
  }
  throw fail('forbidden', 'a secret key must never be in a browser: revoke it and use a write key (mk_pub_…)')
}

/** How the browser reached us, unless the deployment says how it should. */
function ownAddress(
  request: FastifyRequest,
  publicUrl: string,
): { protocol: string; host: string } | undefined {
  if (publicUrl !== '' && URL.canParse(publicUrl)) {
    const url = new URL(publicUrl)
    return { protocol: url.protocol.slice(0, -1), host: `${url.host}${url.pathname}`.replace(/\/$/, '') }
  }
  const { host, protocol } = request
  return /^[A-Za-z0-9.:[\]-]{1,255}$/.test(host) ? { protocol, host } : undefined
}

function settingsOf(writeKey: string, address: { protocol: string; host: string } | undefined) {
  return {
    integrations: {
      'Segment.io': {
        apiKey: writeKey,
        ...(address === undefined ? {} : { apiHost: `${address.host}/v1`, protocol: address.protocol }),
        unbundledIntegrations: [],
        addBundledMetadata: true,
        versionSettings: { version: '4.4.7', componentTypes: ['browser'] },
      },
    },
    plan: { track: ALLOWED, identify: ALLOWED, group: ALLOWED },
    edgeFunction: {},
    analyticsNextEnabled: true,
    middlewareSettings: {},
    enabledMiddleware: {},
    // The SDK's own statistics would go to Segment.
    metrics: { sampleRate: 0 },
    legacyVideoPluginsEnabled: false,
    remotePlugins: [],
  }
}
