// Why each number of domain/scaling.ts is what it is: `node loadtest/sweep.ts` halves and doubles them one by one and runs
// the unprepared flash sale and the spike again. Prints what each change refuses, leaves to be archived later, and costs.
import { table } from '../cli/table.ts'
import capacity from '../domain/capacity.json' with { type: 'json' }
import { BEHAVIOUR, OBSERVATION, type PoolScaling, SCALING } from '../domain/scaling.ts'
import { simulate } from './simulator/run.ts'
import { type Scenario, scenarios } from './simulator/scenarios.ts'
import type { World } from './simulator/world.ts'

type Variant = { name: string; change: (world: World) => World }

const COUNTED = [
  'jobsPerReplica',
  'ageSeconds',
  'eventsPerSecondPerReplica',
  'jobsPerSecondPerReplica',
] as const
const FACTORS = [0.25, 0.5, 2, 4]

function ofPool(scaling: PoolScaling, key: (typeof COUNTED)[number]): Variant[] {
  const value = scaling[key]
  if (value === null) return []
  return FACTORS.map((factor) => ({
    name: `${scaling.pool} ${key} ${value} -> ${value * factor}`,
    change: (world) => ({
      ...world,
      scaling: world.scaling.map((row) =>
        row.pool === scaling.pool ? { ...row, [key]: value * factor } : row,
      ),
    }),
  }))
}

const { scaleUp, scaleDown } = BEHAVIOUR
const VARIANTS: Variant[] = [
  { name: 'as it is', change: (world) => world },
  ...SCALING.flatMap((scaling) => COUNTED.flatMap((key) => ofPool(scaling, key))),
  ...[2, 8].map(
    (pods): Variant => ({
      name: `scale up pods ${scaleUp.pods} -> ${pods}`,
      change: (world) => ({ ...world, behaviour: { scaleUp: { ...scaleUp, pods }, scaleDown } }),
    }),
  ),
  ...[60, 120, 600].map(
    (seconds): Variant => ({
      name: `scale down window ${scaleDown.stabilizationWindowSeconds} -> ${seconds} s`,
      change: (world) => ({
        ...world,
        behaviour: { scaleUp, scaleDown: { ...scaleDown, stabilizationWindowSeconds: seconds } },
      }),
    }),
  ),
  ...[
    [5, 60],
    [15, 60],
    [5, 15],
  ].map(
    ([scrapeSeconds = 0, rateWindowSeconds = 0]): Variant => ({
      name: `scrape ${OBSERVATION.scrapeSeconds} s, rate ${OBSERVATION.rateWindowSeconds} s -> ${scrapeSeconds} s, ${rateWindowSeconds} s`,
      change: (world) => ({
        ...world,
        observation: { ...world.observation, scrapeSeconds, rateWindowSeconds },
      }),
    }),
  ),
  ...[5, 40, 120].map(
    (podStartSeconds): Variant => ({
      name: `pods start in ${podStartSeconds} s`,
      change: (world) => ({ ...world, podStartSeconds }),
    }),
  ),
]

function cellsOf(scenario: Scenario, variant: Variant): string[] {
  const result = simulate(variant.change(scenario.world), scenario.curve, scenario.seconds)
  const percent = (events: number) => `${((events / result.offered) * 100).toFixed(1)} %`
  const age = Math.max(...result.pools.map((one) => one.worstAgeSeconds))
  const hours = result.pools.reduce((sum, one) => sum + one.podHours, 0)
  return [percent(result.refused), percent(result.gaps), `${Math.round(age)} s`, hours.toFixed(1)]
}

const tried = scenarios(capacity).filter(({ name }) => name === 'flash-sale' || name === 'spike')
const right = (title: string) => ({ title, align: 'right' as const })
const columns = ['REFUSED', 'GAPS', 'AGE', 'POD HOURS'].map(right)
console.log(`${tried.map(({ name, about }) => `${name}: ${about}`).join('\n')}\n`)
console.log(
  table(
    [
      { title: 'CHANGE' },
      ...tried.flatMap(({ name }) =>
        columns.map(({ title }) => right(`${name.slice(0, 5).toUpperCase()} ${title}`)),
      ),
    ],
    VARIANTS.map((variant) => [variant.name, ...tried.flatMap((scenario) => cellsOf(scenario, variant))]),
  ),
)
