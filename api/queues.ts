// The queues as an operator sees them: depth, age and whether paused; pausing and resuming one queue or all lanes of one.
import Type from 'typebox'
import { pausedQueues, pauseQueues, queuesNamed, resumeQueues } from '../queues/control.ts'
import { allQueueNames } from '../queues/pipeline.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { actorOf } from './admission.ts'
import type { ApiDeps } from './deps.ts'
import { typed } from './typed.ts'

const QueueState = Type.Object({
  queue: Type.String({ examples: ['segment-03'] }),
  waiting: Type.Integer({ examples: [0] }),
  active: Type.Integer({ examples: [0] }),
  delayed: Type.Integer({ examples: [0] }),
  failed: Type.Integer({ examples: [0] }),
  oldestAgeMs: Type.Number({ description: 'Age of the oldest waiting job', examples: [0] }),
  paused: Type.Boolean({ examples: [false] }),
})

const Params = Type.Object({
  queue: Type.String({
    maxLength: 100,
    description: 'One queue (`segment-03`), or a pool for all its queues (`segment`)',
    examples: ['deliver-webhook'],
  }),
})

const VERBS = [
  {
    verb: 'pause',
    done: 'paused',
    act: pauseQueues,
    summary: 'Pause a queue',
    description: 'Jobs keep arriving and wait; those under way finish.',
  },
  {
    verb: 'resume',
    done: 'resumed',
    act: resumeQueues,
    summary: 'Resume a queue',
    description: 'Waiting jobs flow again.',
  },
] as const

export function queueRoutes(app: HttpServer, { sql, cache, config, depth }: ApiDeps): void {
  const routes = typed(app)

  routes.get(
    '/api/v1/queues',
    {
      schema: {
        tags: ['queues'],
        summary: 'List queues with their depth and age',
        response: {
          200: Type.Object({
            data: Type.Array(QueueState),
            redis: Type.Object({ usedMemoryBytes: Type.Number(), maxMemoryBytes: Type.Number() }),
          }),
        },
      },
    },
    async () => {
      const names = allQueueNames(config.shards)
      const paused = await pausedQueues(cache.redis, config.namespace, names)
      const { usedMemoryBytes, maxMemoryBytes, reachable } = await depth.fresh()
      if (!reachable) throw fail('unavailable', 'the queues do not answer', { retryAfterS: 2 })
      return {
        data: names.map((queue) => ({ queue, ...depth.depthOf(queue), paused: paused.has(queue) })),
        redis: { usedMemoryBytes, maxMemoryBytes },
      }
    },
  )

  for (const { verb, done, act, summary, description } of VERBS) {
    routes.post(
      `/api/v1/queues/:queue/${verb}`,
      {
        schema: {
          tags: ['queues'],
          summary,
          description,
          params: Params,
          response: { 200: Type.Object({ [done]: Type.Array(Type.String()) }) },
        },
      },
      async (request) => {
        const names = queuesNamed(request.params.queue, config.shards)
        if (names.length === 0) throw fail('not_found', 'there is no queue of this name', { field: 'queue' })
        await act(cache.redis, config.namespace, names)
        await recordAudit(sql, {
          actor: actorOf(request),
          action: `queue.${verb}`,
          target: request.params.queue,
        })
        return { [done]: names }
      },
    )
  }
}
