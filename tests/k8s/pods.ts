// Checks of what a pod may do and of how it is kept: rights, resources, probes, images, disruption.
import { RUNNABLE } from '../../cli/run-process.ts'
import {
  at,
  type Json,
  listAt,
  type Manifest,
  ofKind,
  ownWorkloads,
  textAt,
  workloads,
} from '../support/manifests.ts'
import { selects } from './selectors.ts'

const RIGHTS: [string[], Json][] = [
  [['spec', 'automountServiceAccountToken'], false],
  [['spec', 'securityContext', 'runAsNonRoot'], true],
  [['spec', 'securityContext', 'seccompProfile', 'type'], 'RuntimeDefault'],
]
const CONTAINER_RIGHTS: [string[], Json][] = [
  [['securityContext', 'allowPrivilegeEscalation'], false],
  [['securityContext', 'readOnlyRootFilesystem'], true],
  [['securityContext', 'capabilities', 'drop', '0'], 'ALL'],
]

export function rightsComplaints(manifests: Manifest[]): string[] {
  return workloads(manifests).flatMap(({ name, pod }) => {
    const wrong = (from: Json, wanted: [string[], Json][]) =>
      wanted
        .filter(([path, value]) => at(from, ...path) !== value)
        .map(([path]) => `${name}: ${path.join('.')}`)
    // The Pod Security Standard wants a number, which a user's name in the image is not.
    const user = Number(at(pod, 'spec', 'securityContext', 'runAsUser') ?? 0)
    return [
      ...(user > 0 ? [] : [`${name}: runAsUser`]),
      ...wrong(pod, RIGHTS),
      ...listAt(pod, 'spec', 'containers').flatMap((container) => wrong(container, CONTAINER_RIGHTS)),
    ]
  })
}

export function resourceComplaints(manifests: Manifest[]): string[] {
  return workloads(manifests).flatMap(({ name, pod }) => {
    const resources = at(pod, 'spec', 'containers', 0, 'resources')
    const complaints = []
    for (const path of [
      ['requests', 'cpu'],
      ['requests', 'memory'],
      ['limits', 'memory'],
    ])
      if (textAt(resources, ...path) === '') complaints.push(`${name} has no ${path.join('.')}`)
    if (at(resources, 'limits', 'cpu') !== undefined)
      complaints.push(`${name} has a limit of CPU: a throttled worker loses the locks of its jobs`)
    return complaints
  })
}

/** Liveness must not ask what readiness asks, or a store that is away restarts every pod. */
export function probeComplaints(manifests: Manifest[]): string[] {
  const wanted = { startupProbe: '/healthz', livenessProbe: '/healthz', readinessProbe: '/readyz' }
  return ownWorkloads(manifests)
    .filter(({ owner }) => owner.kind !== 'Job')
    .flatMap(({ name, pod }) =>
      Object.entries(wanted)
        .filter(([probe, path]) => textAt(pod, 'spec', 'containers', 0, probe, 'httpGet', 'path') !== path)
        .map(([probe, path]) => `${name}: ${probe} does not ask ${path}`),
    )
}

/** One workload a pool and server, named as it, running the image of this version. */
export function workloadComplaints(manifests: Manifest[], version: string): string[] {
  const complaints: string[] = []
  const started = new Map<string, number>()
  for (const { name, owner, pod } of ownWorkloads(manifests)) {
    const [verb, what] = listAt(pod, 'spec', 'containers', 0, 'args').map(String)
    if (textAt(pod, 'spec', 'containers', 0, 'image') !== `millrace:${version}`)
      complaints.push(`${name} does not run millrace:${version}`)
    if (verb === 'migrate') {
      if (owner.metadata.name !== `migrate-${version.replaceAll('.', '-')}`)
        complaints.push(`${name} is not named for version ${version}: a Job that has run cannot be changed`)
      continue
    }
    started.set(what ?? '', (started.get(what ?? '') ?? 0) + 1)
    if (owner.metadata.name !== what) complaints.push(`${name} starts ${what}`)
  }
  for (const name of RUNNABLE)
    if (started.get(name) !== 1) complaints.push(`${name} is started by ${started.get(name) ?? 0} workloads`)
  return complaints
}

/** A drain of a node may take one pod at a time, and is never blocked for good. */
export function disruptionComplaints(manifests: Manifest[]): string[] {
  const budgets = ofKind(manifests, 'PodDisruptionBudget')
  return [
    ...ownWorkloads(manifests)
      .filter(({ owner }) => owner.kind !== 'Job')
      .filter(({ pod }) => !budgets.some((budget) => selects(at(budget, 'spec', 'selector'), pod)))
      .map(({ name }) => `${name} has no PodDisruptionBudget`),
    ...budgets
      .filter((budget) => at(budget, 'spec', 'maxUnavailable') !== 1)
      .map((budget) => `PodDisruptionBudget ${budget.metadata.name} can block a drain`),
  ]
}

/** KEDA owns the number of what it scales. */
export function replicaComplaints(manifests: Manifest[]): string[] {
  const scaled = ofKind(manifests, 'ScaledObject').map((one) => textAt(one, 'spec', 'scaleTargetRef', 'name'))
  return ofKind(manifests, 'Deployment', 'StatefulSet')
    .filter((one) => scaled.includes(one.metadata.name) && at(one, 'spec', 'replicas') !== undefined)
    .map((one) => `${one.kind} ${one.metadata.name} sets replicas, which its ScaledObject owns`)
}
