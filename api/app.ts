// Mounts everything under /api/v1 on a server made by runtime/http.ts, and the description at /api/docs. The collector
// may share the server: mount this first, so that its routes are described too. Never imports workers.

import { createKeyAuth } from '../runtime/auth.ts'
import type { HttpServer } from '../runtime/http.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { findKey } from '../store/keys.ts'
import { admitSecretKeys } from './admission.ts'
import { auditRoutes } from './audit.ts'
import { campaignRoutes } from './campaigns.ts'
import { deliveryRoutes } from './deliveries.ts'
import type { ApiDeps } from './deps.ts'
import { failedEventRoutes } from './failed-events.ts'
import type { FeedPace } from './feed/listener.ts'
import { installIdempotency } from './idempotency.ts'
import { keyRoutes } from './keys.ts'
import { listRoutes } from './lists.ts'
import { metricCutRoutes } from './metric-cuts.ts'
import { metricRoutes } from './metrics.ts'
import { registerOpenApi } from './openapi.ts'
import { openWalks } from './people-walk.ts'
import { queueRoutes } from './queues.ts'
import { segmentChangeRoutes } from './segment-changes.ts'
import { segmentDifferenceRoutes } from './segment-difference.ts'
import { segmentDraftRoutes } from './segment-drafts.ts'
import { segmentDriftRoutes } from './segment-drift.ts'
import { segmentExplainRoutes } from './segment-explain.ts'
import { FEED_PATH, segmentFeedRoutes } from './segment-feed.ts'
import { segmentMemberRoutes } from './segment-members.ts'
import { segmentPassRoutes } from './segment-passes.ts'
import { segmentPreviewRoutes } from './segment-preview.ts'
import { segmentRunRoutes } from './segment-runs.ts'
import { segmentRoutes } from './segments.ts'
import { sessionRoutes } from './sessions.ts'
import { sourceRoutes } from './sources.ts'
import { suppressionRoutes } from './suppressions.ts'
import { useSchemaChecks } from './typed.ts'
import { unsubscribeRoutes } from './unsubscribe.ts'
import { userHistoryRoutes } from './user-history.ts'
import { userMetricRoutes } from './user-metrics.ts'
import { userSegmentRoutes } from './user-segments.ts'
import { userRoutes } from './users.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True = answers for hours: its time says nothing of how quickly the API answers. */
    isStream?: boolean
  }
}

/** The path that may become a WebSocket, for `createHttpServer`. */
export const SOCKET_PATH = FEED_PATH

export async function mountApi(app: HttpServer, deps: ApiDeps, feedPace?: FeedPace): Promise<void> {
  await registerOpenApi(app, { publicUrl: deps.publicUrl })
  await app.register(async (api) => {
    const auth = createKeyAuth({ findKey: (hash) => findKey(deps.sql, hash), clock: deps.clock })
    useSchemaChecks(api)
    countReplies(api, deps.metrics)
    admitSecretKeys(api, auth)
    installIdempotency(api, { sql: deps.sql, secret: deps.secret })
    userRoutes(api, deps)
    userHistoryRoutes(api, deps)
    userSegmentRoutes(api, deps)
    sessionRoutes(api, deps)
    segmentRoutes(api, deps)
    segmentDraftRoutes(api, deps)
    segmentRunRoutes(api, deps)
    const walks = openWalks()
    segmentMemberRoutes(api, deps, walks)
    segmentChangeRoutes(api, deps)
    segmentPreviewRoutes(api, deps, walks)
    segmentDifferenceRoutes(api, deps, walks)
    segmentExplainRoutes(api, deps)
    await segmentFeedRoutes(api, deps, auth, feedPace)
    segmentDriftRoutes(api, deps)
    segmentPassRoutes(api, deps)
    metricRoutes(api, deps)
    metricCutRoutes(api, deps)
    userMetricRoutes(api, deps)
    await api.register((lists) => listRoutes(lists, deps))
    campaignRoutes(api, deps)
    deliveryRoutes(api, deps)
    suppressionRoutes(api, deps)
    unsubscribeRoutes(api, deps)
    sourceRoutes(api, deps)
    keyRoutes(api, deps, auth)
    failedEventRoutes(api, deps)
    queueRoutes(api, deps)
    auditRoutes(api, deps)
  })
}

function countReplies(api: HttpServer, metrics: Metrics): void {
  api.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown'
    metrics.requests.inc({ service: 'api', route, status: `${Math.floor(reply.statusCode / 100)}xx` })
    if (request.routeOptions.config.isStream !== true)
      metrics.requestSeconds.observe({ service: 'api', route }, reply.elapsedTime / 1000)
  })
}
