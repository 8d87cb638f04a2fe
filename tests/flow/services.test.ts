// The services of docker-compose.yml as processes: with its commands and keys they carry an event and stop cleanly.
import { randomBytes } from 'node:crypto'
import { test } from 'vitest'
import { parse } from 'yaml'
import { runThrough, type Service } from '../support/service-processes.ts'
import { readProjectFile } from '../support/source-tree.ts'

type Written = { command: string[]; environment: Record<string, string> }

const written: Record<string, Written> = parse(readProjectFile('docker-compose.yml'), {
  merge: true,
}).services

function serviceOf(name: string): Service {
  const { command = [], environment = {} } = written[name] ?? {}
  const given = Object.entries(environment).map(([key, value]) => [
    key,
    // Compose's default, where it has one.
    key === 'MILLRACE_ADMIN_PASSWORD'
      ? randomBytes(12).toString('hex')
      : (/^\$\{\w+:-(.*)\}$/.exec(value)?.[1] ?? value),
  ])
  return { name, command, environment: Object.fromEntries(given) }
}

test('migrated once and started all at the same time, the services carry an event and stop cleanly', async () => {
  const pools = Object.keys(written).filter((name) => written[name]?.command[0] === 'start')
  // As with --scale persist=2.
  await runThrough(serviceOf('migrate'), [...pools, 'persist'].map(serviceOf))
}, 120_000)
