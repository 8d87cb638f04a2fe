// One row a pool: what it is called everywhere. Queues, compose services, k8s files and metric labels are compared with
// this table by a test. Pools are loaded when they run, so that a process pays only for what it does.
import type { Pool } from './define.ts'

export type PoolRow = {
  /** The word for it everywhere: folder, compose service, k8s file, metric label, `millrace start <name>`. */
  name: string
  /** The folder that holds it. */
  folder: string
  /** Contract it consumes (queues/pipeline.ts); null = it is fed by HTTP. */
  consumes: string | null
  /** Docker compose service and k8s/base file. */
  composeService: string
  k8sFile: string
  metricLabel: string
  load: (() => Promise<Pool>) | null
}

function row(name: string, load: () => Promise<Pool>): PoolRow {
  return {
    name,
    folder: `workers/${name}`,
    consumes: name,
    composeService: name,
    k8sFile: `k8s/base/${name}.yaml`,
    metricLabel: name,
    load,
  }
}

/** In flow order. */
export const REGISTRY: readonly PoolRow[] = [
  {
    name: 'collector',
    folder: 'collector',
    consumes: null,
    composeService: 'collector',
    k8sFile: 'k8s/base/collector.yaml',
    metricLabel: 'collector',
    load: null,
  },
  row('ingest', async () => (await import('./ingest/pool.ts')).ingestPool),
  row('persist', async () => (await import('./persist/pool.ts')).persistPool),
  row('segment', async () => (await import('./segment/pool.ts')).segmentPool),
  row('deliver', async () => (await import('./deliver/pool.ts')).deliverPool),
  row('archive', async () => (await import('./archive/pool.ts')).archivePool),
  row('schedule', async () => (await import('./schedule/pool.ts')).schedulePool),
]
