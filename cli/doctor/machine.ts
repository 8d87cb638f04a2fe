// Checks of this machine: Node, the data folder, disk space, ports. They need no server to be up.
import { accessSync, constants, existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Config } from '../../runtime/config.ts'
import { isFree } from '../local/server.ts'
import { bad, type Finding, ok, warn } from './finding.ts'

const NODE_MAJOR = 24
const GB = 1024 ** 3
const FAIL_BELOW_BYTES = 0.5 * GB
const WARN_BELOW_BYTES = 5 * GB

/** `isRunning` = a `start` of this data folder is alive: the ports are its own. */
export async function diagnoseMachine(config: Config, options: { isRunning: boolean }): Promise<Finding[]> {
  return [
    checkNode(process.versions.node),
    ...(await checkDataFolder(resolve(config.dataDir))),
    ...(await checkPorts(config, options.isRunning)),
  ]
}

export function checkNode(version: string): Finding {
  return Number(version.split('.')[0]) >= NODE_MAJOR
    ? ok('node', `Node ${version}`)
    : bad(
        'node',
        `Node ${version} is too old`,
        `install Node ${NODE_MAJOR}, or run npm ci, which brings it along`,
      )
}

async function checkDataFolder(dataDir: string): Promise<Finding[]> {
  const existing = nearestExisting(dataDir)
  try {
    accessSync(existing, constants.W_OK | constants.X_OK)
  } catch {
    return [
      bad(
        'data folder',
        `${existing} cannot be written to`,
        'change its owner, or set MILLRACE_DATA_DIR to another folder',
      ),
    ]
  }
  const stats = await statfs(existing)
  return [ok('data folder', dataDir), checkDisk(stats.bavail * stats.bsize, dataDir)]
}

export function checkDisk(freeBytes: number, dataDir: string): Finding {
  const text = `${(freeBytes / GB).toFixed(1)} GB free for ${dataDir}`
  const mend = 'make room, or set MILLRACE_DATA_DIR to a folder on a larger disk'
  if (freeBytes < FAIL_BELOW_BYTES) return bad('disk', text, mend)
  return freeBytes < WARN_BELOW_BYTES ? warn('disk', text, mend) : ok('disk', text)
}

function nearestExisting(path: string): string {
  for (let at = path; ; at = dirname(at)) if (existsSync(at) || at === dirname(at)) return at
}

type Port = { env: string; port: number; isServers: boolean }

async function checkPorts(config: Config, isRunning: boolean): Promise<Finding[]> {
  if (isRunning) return [ok('ports', 'in use by the Millrace that runs here')]
  const ports: Port[] = [
    { env: 'MILLRACE_HTTP_PORT', port: config.httpPort, isServers: false },
    { env: 'MILLRACE_DASHBOARD_PORT', port: config.dashboardPort, isServers: false },
    { env: 'MILLRACE_EXPORTER_PORT', port: config.exporterPort, isServers: false },
    { env: 'MILLRACE_OUTBOX_PORT', port: config.outboxPort, isServers: false },
  ]
  if (config.databaseUrl === '')
    ports.push({ env: 'MILLRACE_LOCAL_POSTGRES_PORT', port: config.localPostgresPort, isServers: true })
  if (config.redisUrl === '')
    ports.push({ env: 'MILLRACE_LOCAL_REDIS_PORT', port: config.localRedisPort, isServers: true })
  const findings: Finding[] = []
  for (const { env, port, isServers } of ports) {
    if (port === 0 || (await isFree(config.host, port))) continue
    findings.push(
      isServers
        ? warn(
            'ports',
            `port ${port} is taken`,
            `a server that an earlier start left behind is ended by start; for any other set ${env}`,
          )
        : bad('ports', `port ${port} is taken`, `stop what uses it, or set ${env} to another port`),
    )
  }
  return findings.length > 0 ? findings : [ok('ports', ports.map(({ port }) => port).join(', '))]
}
