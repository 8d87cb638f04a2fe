// Faults drawn by a seed, that may overlap: whatever comes together, every count must be right after. FAULT_SEED runs one
// schedule again; without it the seeds are new each time, and printed.
import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { createNemesis, type Nemesis } from './nemesis.ts'
import { runRow } from './row.ts'
import { describeFault, drawSchedule, runSchedule } from './schedule.ts'

const SCHEDULES = 4
const { FAULT_SEED } = process.env
const seeds =
  FAULT_SEED === undefined
    ? Array.from({ length: SCHEDULES }, () => String(randomInt(1, 2 ** 31)))
    : [FAULT_SEED]

let deployment: Deployment
let nemesis: Nemesis
beforeAll(async () => {
  deployment = await startDeployment({ processes: PROCESS_A_POOL, links: true, config: { maxStalls: 20 } })
  nemesis = createNemesis(deployment)
}, 120_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

test.for(seeds)('faults of seed %s, one over the other, leave every count right', async (seed, context) => {
  const schedule = drawSchedule(Number(seed))
  console.log(`FAULT_SEED=${seed} npm run faults -- -t seed\n${schedule.map(describeFault).join('\n')}`)
  const plan = {
    id: `s${seed}`,
    buyers: 100,
    settleWithinMs: 180_000,
    // A webhook whose answer was lost is sent again under its id.
    deliveries: { repeated: expect.any(Number) },
    fault: async () => ({ hits: await runSchedule(deployment, nemesis, schedule) }),
  }
  const result = await runRow(context, deployment, plan, seed)
  expect(result.events.acked).toBeGreaterThanOrEqual(4000)
})
