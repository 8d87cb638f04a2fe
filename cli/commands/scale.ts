// millrace scale plan: what a deployment needs for a load; millrace scale capacity: the measured figures that it is planned
// with (domain/capacity.json). Needs no running deployment.

import measured from '../../domain/capacity.json' with { type: 'json' }
import type { Capacity } from '../../domain/capacity.ts'
import { type Plan, type PlannedLoad, type Prices, planFor } from '../../domain/scale-plan.ts'
import { readConfig } from '../../runtime/config.ts'
import { fail } from '../../runtime/errors.ts'
import { commaList, nearest, parseOptions, wholeNumber } from '../args.ts'
import type { CliIo } from '../io.ts'
import { CAPACITY_COLUMNS, capacityRows } from '../scale/capacity-table.ts'
import { paint, table } from '../table.ts'

/** US dollars: about what the large clouds ask for on demand in 2026. A rough sum, to be overridden with --prices. */
const PRICES: Prices = {
  podVcpuHour: 0.04,
  podGibHour: 0.0045,
  redisGibHour: 0.03,
  postgresVcpuHour: 0.09,
  postgresGibHour: 0.01,
  storageGibMonth: 0.12,
}

const capacity: Capacity = measured

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options, positionals } = parseOptions(
    args,
    {
      'events-per-second': 'string',
      'average-events-per-second': 'string',
      'singles-percent': 'string',
      'messages-per-1000-events': 'string',
      'backlog-seconds': 'string',
      'retention-days': 'string',
      shards: 'string',
      prices: 'string',
      json: 'boolean',
    },
    1,
  )
  const [verb] = positionals
  if (verb === 'capacity') {
    io.write(options.json ? `${JSON.stringify(capacity, null, 2)}\n` : capacityTable())
    return 0
  }
  if (verb !== 'plan')
    throw fail(
      'invalid_request',
      `${verb === undefined ? 'say what' : `there is no scale ${verb}`}: scale plan or scale capacity`,
    )
  const config = readConfig(io.env)
  const number = (name: keyof typeof options & string, min: number, max: number) =>
    wholeNumber(options[name] === undefined ? undefined : String(options[name]), name, { min, max })
  const eventsPerSecond = number('events-per-second', 1, 100_000_000)
  if (eventsPerSecond === undefined)
    throw fail(
      'invalid_request',
      '--events-per-second N is needed: how many events a second come at the peak',
    )
  const load: PlannedLoad = {
    eventsPerSecond,
    averageEventsPerSecond: number('average-events-per-second', 1, eventsPerSecond) ?? eventsPerSecond,
    singlesShare: (number('singles-percent', 0, 100) ?? 0) / 100,
    deliveriesPerEvent: (number('messages-per-1000-events', 0, 10_000) ?? 4) / 1_000,
    backlogSeconds: number('backlog-seconds', 1, 86_400) ?? 60,
    retentionDays: number('retention-days', 1, 36_500) ?? config.retentionDays,
    shards: number('shards', 1, 1_024) ?? config.shards,
    postgresPoolSize: config.postgresPoolSize,
  }
  const prices = readPrices(options.prices)
  const plan = planFor(load, capacity, prices)
  io.write(
    options.json
      ? `${JSON.stringify({ load, prices, measured: capacity.measured, ...plan }, null, 2)}\n`
      : render(load, plan, prices, io),
  )
  return 0
}

/** `podVcpuHour=0.05,storageGibMonth=0.2` over the defaults. */
function readPrices(text: string | undefined): Prices {
  const prices: Record<string, number> = { ...PRICES }
  const names = Object.keys(PRICES)
  for (const part of commaList(text)) {
    const [name = '', value] = part.split('=')
    if (!names.includes(name)) {
      const near = nearest(name, names)
      throw fail(
        'invalid_request',
        `--prices has no ${name}: ${near === undefined ? names.join(', ') : `did you mean ${near}?`}`,
      )
    }
    const price = value === undefined || value === '' ? Number.NaN : Number(value)
    if (!(price >= 0) || !Number.isFinite(price))
      throw fail(
        'invalid_request',
        `--prices ${name} must be dollars, as in ${name}=0.05, not ${value ?? 'nothing'}`,
      )
    prices[name] = price
  }
  return { ...PRICES, ...prices }
}

function render(load: PlannedLoad, plan: Plan, prices: Prices, io: CliIo): string {
  const { redis, postgres, monthlyCost } = plan
  const right = (title: string) => ({ title, align: 'right' as const })
  const pools = table(
    [{ title: 'POOL' }, right('REPLICAS'), right('EVENTS/S EACH')],
    plan.pools.map((one) => [
      one.pool,
      String(one.replicas),
      one.eventsPerSecondPerReplica === null ? '-' : whole(one.eventsPerSecondPerReplica),
    ]),
  )
  const stores = table(
    [{ title: 'STORE' }, { title: 'NEEDS' }],
    [
      ['Redis', `${redis.cores} cores, maxmemory ${gib(redis.maxmemoryBytes)}`],
      ['', `MILLRACE_SOFT_DEPTH_JOBS=${redis.softDepthJobs} MILLRACE_HARD_DEPTH_JOBS=${redis.hardDepthJobs}`],
      ['Postgres', `${postgres.cores} cores, ${postgres.memoryGib} GiB, ${postgres.connections} connections`],
      ['', `${gib(postgres.storageBytes)} of disk for ${load.retentionDays} days`],
    ],
  )
  const cost = table(
    [{ title: 'A MONTH' }, right('USD')],
    Object.entries(monthlyCost).map(([name, value]) => [name, whole(value)]),
  )
  const stated = Object.entries(prices)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
  return [
    `For ${whole(load.eventsPerSecond)} events/s at the peak, ${whole(load.averageEventsPerSecond)} over the day, ${Math.round(load.singlesShare * 100)} % of them alone in a request\n`,
    pools,
    stores,
    cost,
    `Prices (--prices NAME=DOLLARS,…): ${stated}\n`,
    ...plan.warnings.map((warning) => `${paint('!', 'yellow', io.colours)} ${warning}\n`),
    source(),
  ].join('\n')
}

function capacityTable(): string {
  const columns = CAPACITY_COLUMNS.map((title, i) => ({
    title: title.toUpperCase(),
    align: i === 0 ? ('left' as const) : ('right' as const),
  }))
  return `${table(columns, capacityRows(capacity))}\n${source()}`
}

function source(): string {
  const { machine, commit, date } = capacity.measured
  return `Measured on ${machine}, commit ${commit}, ${date}; a replica is one busy core, planned with 80 % of it, stores with 70 %.\n`
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function gib(bytes: number): string {
  const size = bytes / 2 ** 30
  return size >= 10_240
    ? `${(size / 1024).toFixed(1)} TiB`
    : `${size < 10 ? size.toFixed(2) : whole(size)} GiB`
}
