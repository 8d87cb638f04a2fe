// How the autoscaled pools would take a load: `node loadtest/simulate.ts [scenario…] [--svg FILE] [--json FILE]`, or a
// recorded load with `--recorded FILE [--scale N]`. The rule and its numbers are those of the manifests (domain/scaling.ts),
// the speeds those that were measured (domain/capacity.json). No scenario = all of them.
import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import capacity from '../domain/capacity.json' with { type: 'json' }
import { fail, MillraceError } from '../runtime/errors.ts'
import { drawingOf, reportOf } from './simulator/report.ts'
import { simulate } from './simulator/run.ts'
import { recordedScenario, type Scenario, scenarios } from './simulator/scenarios.ts'

function chosen(names: string[], recording: string | undefined, scale: number): Scenario[] {
  if (recording !== undefined)
    return [recordedScenario(capacity, basename(recording), readFileSync(recording, 'utf8'), scale)]
  const all = scenarios(capacity)
  if (names.length === 0) return all
  return names.map((name) => {
    const found = all.find((one) => one.name === name)
    if (found === undefined)
      throw fail('invalid_request', `there is no scenario ${name}: ${all.map((one) => one.name).join(', ')}`)
    return found
  })
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      svg: { type: 'string' },
      json: { type: 'string' },
      recorded: { type: 'string' },
      scale: { type: 'string' },
    },
  })
  const scale = Number(values.scale ?? 1)
  if (!(scale > 0)) throw fail('invalid_request', `--scale must be a number above 0, not ${values.scale}`)
  const summaries: Record<string, unknown> = {}
  for (const scenario of chosen(positionals, values.recorded, scale)) {
    const result = simulate(scenario.world, scenario.curve, scenario.seconds)
    console.log(reportOf(scenario, result))
    const { series, changes, ...summary } = result
    summaries[scenario.name] = summary
    if (values.svg !== undefined) writeFileSync(values.svg, drawingOf(scenario, result))
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(summaries, null, 2)}\n`)
}

try {
  main()
} catch (error) {
  console.error(error instanceof MillraceError ? error.detail : error)
  process.exitCode = 2
}
