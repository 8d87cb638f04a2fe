// Rows 6, 7, 9, 13, 17 and 30: the Redis under a whole deployment is killed, slowed, frozen and filled.
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LocalRedis } from '../../cli/local/redis.ts'
import { pauseQueues, resumeQueues } from '../../queues/control.ts'
import { ingest } from '../../queues/pipeline.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { injectIntoFsync, whyNoStrace } from './disk-faults.ts'
import { runRow, type UnderLoad } from './row.ts'

let deployment: Deployment
let redis: LocalRedis
beforeAll(async () => {
  deployment = await startDeployment({ links: true })
  if (deployment.stack.redis === undefined) throw new Error('this deployment has no Redis of its own')
  redis = deployment.stack.redis
}, 120_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

const noStrace = whyNoStrace()
if (noStrace !== '') console.warn(`rows 7 and 30 are SKIPPED: ${noStrace}`)
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Kills Redis while what was acknowledged waits in it, and starts it again; returns how many jobs waited. */
async function killWithBacklog(load: UnderLoad, forMs: number): Promise<number> {
  const { namespace } = deployment.stack.config
  await pauseQueues(deployment.redis, namespace, [ingest.name])
  const before = load.acked()
  await waitFor(() => load.acked() >= before + 200, { what: 'a backlog' })
  await pause(forMs)
  const waiting = load.acked() - before
  redis.kill('SIGKILL')
  await redis.restart()
  await resumeQueues(deployment.redis, namespace, [ingest.name])
  return waiting
}

test('row 6: a killed Redis that syncs every write has lost nothing that was acknowledged', async (context) => {
  await runRow(context, deployment, {
    id: '6',
    restarts: 0,
    async fault(load) {
      return { hits: { 'events that waited at the kill': await killWithBacklog(load, 300) } }
    },
  })
})

const whatEverysecLoses = {
  lost: expect.any(Number),
}

test('row 6b: a killed Redis that syncs every second: what it lost is counted, nothing else is wrong', async (context) => {
  await deployment.redis.config('SET', 'appendfsync', 'everysec')
  await runRow(context, deployment, {
    id: '6b',
    restarts: 0,
    events: whatEverysecLoses,
    deliveries: { missing: expect.any(Number) },
    async fault(load) {
      return { hits: { 'events that waited at the kill': await killWithBacklog(load, 300) } }
    },
  })
})

test.skipIf(noStrace !== '')(
  'row 7: with a slow disk too, a killed Redis that syncs every write has lost nothing',
  async (context) => {
    await runRow(context, deployment, {
      id: '7',
      restarts: 0,
      async fault(load) {
        const slow = await injectIntoFsync(redis.pid, 'delay_exit=200000')
        const waiting = await killWithBacklog(load, 1500)
        await slow.stop()
        return { hits: { 'events that waited at the kill': waiting } }
      },
    })
  },
)

test.skipIf(noStrace !== '')(
  'row 7b: with a slow disk a Redis that syncs every second loses what it acknowledged, and the judge sees it',
  async (context) => {
    await deployment.redis.config('SET', 'appendfsync', 'everysec')
    const result = await runRow(context, deployment, {
      id: '7b',
      restarts: 0,
      events: whatEverysecLoses,
      deliveries: { missing: expect.any(Number) },
      async fault(load) {
        const slow = await injectIntoFsync(redis.pid, 'delay_exit=1800000')
        const waiting = await killWithBacklog(load, 1700)
        await slow.stop()
        return { hits: { 'events that waited at the kill': waiting } }
      },
    })
    expect(result.events.lost, 'what everysec loses is seen by the judge').toBeGreaterThan(0)
  },
)

test('row 9: a frozen Redis means 503 within the deadline, and when it thaws its jobs run on', async (context) => {
  const answers: { status: number; ms: number }[] = []
  const result = await runRow(context, deployment, {
    id: '9',
    restarts: 0,
    async fault(load) {
      const active = await waitFor(() => deployment.activeJobs(['ingest', 'persist']), {
        everyMs: 1,
        what: 'jobs under way',
      })
      redis.kill('SIGSTOP')
      for (let ask = 0; ask < 4; ask++) {
        const startedAt = performance.now()
        const reply = await fetch(`${deployment.httpUrl}/v1/track`, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            authorization: `Basic ${Buffer.from(`${deployment.note.writeKey}:`).toString('base64')}`,
          },
          body: JSON.stringify({ event: 'Frozen', userId: 'frozen', messageId: 'frozen' }),
        })
        answers.push({ status: reply.status, ms: Math.round(performance.now() - startedAt) })
      }
      await pause(
        Math.max(0, deployment.stack.config.lockMs * 2 - answers.reduce((sum, one) => sum + one.ms, 0)),
      )
      const waiting = load.inFlight()
      redis.kill('SIGCONT')
      return { hits: { 'jobs under way': active, 'requests under way': waiting }, figures: { answers } }
    },
  })
  for (const { status, ms } of answers) {
    expect(status, 'a frozen Redis is said').toBe(503)
    expect(ms, 'ms until it was said').toBeLessThan(2300)
  }
  expect(result.requestsAgain).toBeGreaterThan(0)
})

test('row 13: a full Redis is shed before it refuses, and when it refuses all the same everything goes on after', async (context) => {
  const { config } = deployment.stack
  const refusals: number[] = []
  const result = await runRow(context, deployment, {
    id: '13',
    restarts: 0,
    settleWithinMs: 120_000,
    async fault(load) {
      await pauseQueues(deployment.redis, config.namespace, [ingest.name])
      const used = Number(/used_memory:(\d+)/.exec(await deployment.redis.info('memory'))?.[1])
      await deployment.redis.config('SET', 'maxmemory', String(Math.ceil(used / 0.69)))
      const isShed = await waitFor(() => refusedBy(deployment), { what: 'the door to close' })
      refusals.push(isShed)
      const oomWhileShedding = await outOfMemory(deployment)
      await deployment.redis.config('SET', 'maxmemory', '1mb')
      await resumeQueues(deployment.redis, config.namespace, [ingest.name]).catch(() => {})
      await waitFor(async () => (await outOfMemory(deployment)) > oomWhileShedding + 5, {
        what: 'Redis to refuse commands',
      })
      await pause(2000)
      const refused = (await outOfMemory(deployment)) - oomWhileShedding
      await deployment.redis.config('SET', 'maxmemory', '1024mb')
      await resumeQueues(deployment.redis, config.namespace, [ingest.name])
      return {
        hits: { 'commands refused by the full Redis': refused },
        figures: { 'refused by Redis while shedding': oomWhileShedding, acked: load.acked() },
      }
    },
  })
  expect(refusals, 'the door closed with Retry-After').toEqual([expect.toBeOneOf([429, 503])])
  expect(result.requestsAgain).toBeGreaterThan(0)
})

/** The status of a refusal that says when to come back; 0 while the door is open. */
async function refusedBy({ httpUrl, note }: Deployment): Promise<number> {
  const reply = await fetch(`${httpUrl}/v1/track`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Basic ${Buffer.from(`${note.writeKey}:`).toString('base64')}`,
    },
    body: JSON.stringify({ event: 'Asked', userId: 'asked', messageId: `asked-${Math.random()}` }),
  })
  return reply.status !== 200 && reply.headers.has('retry-after') ? reply.status : 0
}

async function outOfMemory({ redis: connection }: Deployment): Promise<number> {
  return Number(/errorstat_OOM:count=(\d+)/.exec(await connection.info('errorstats'))?.[1] ?? 0)
}

test('row 17: while Redis loads its file requests are 503, nobody ends, and everything goes on after', async (context) => {
  await deployment.redis.eval(`for i = 1, 1500000 do redis.call('set', 'ballast' .. i, i) end`, 0)
  await runRow(context, deployment, {
    id: '17',
    restarts: 0,
    async fault() {
      redis.kill('SIGKILL')
      await pause(200)
      const restarting = redis.restart()
      let loading = 0
      let isUp = false
      restarting.then(() => {
        isUp = true
      })
      while (!isUp) {
        if (await saysLoading(redis.port)) loading += 1
        await pause(20)
      }
      await restarting
      return { hits: { 'looks while Redis was loading': loading } }
    },
  })
  await deployment.redis.eval(`for i = 1, 1500000 do redis.call('del', 'ballast' .. i) end`, 0)
})

/** Whether Redis answers an unauthenticated connection with LOADING or a request for a password, told by a command. */
function saysLoading(port: number): Promise<boolean> {
  const password = new URL(redis.url).password
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let text = ''
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1000, () => end(false))
    socket.on('error', () => end(false))
    socket.on('connect', () => socket.write(`AUTH ${password}\r\nGET x\r\n`))
    socket.on('data', (chunk) => {
      text += chunk.toString()
      if (text.includes('-LOADING')) end(true)
      else if (text.includes('$-1')) end(false)
    })
  })
}

test.skipIf(noStrace !== '')(
  'row 30: a Redis whose fsync fails stops instead of acknowledging, and nothing acknowledged is lost',
  async (context) => {
    await runRow(context, deployment, {
      id: '30',
      restarts: 0,
      async fault(load) {
        const { pid } = redis
        await injectIntoFsync(pid, 'error=EIO')
        const acked = load.acked()
        await waitFor(() => !isAlive(pid), { what: 'Redis to stop' })
        await pause(1000)
        const figures = { 'acked after the fault began': load.acked() - acked }
        await redis.restart()
        return { hits: { 'fsyncs that failed': 1 }, figures }
      },
    })
  },
)

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
