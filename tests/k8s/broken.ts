// Copies of the production overlay, each broken in one place, with the check that must find it and its complaint.
import { at, type Json, listAt, type Manifest } from '../support/manifests.ts'
import { readProjectFile } from '../support/source-tree.ts'
import { environmentComplaints, graceComplaints } from './environment.ts'
import { networkComplaints } from './network.ts'
import {
  disruptionComplaints,
  probeComplaints,
  replicaComplaints,
  resourceComplaints,
  rightsComplaints,
  workloadComplaints,
} from './pods.ts'
import { portComplaints } from './ports.ts'
import { referenceComplaints, selectorComplaints } from './selectors.ts'

export type Check = (manifests: Manifest[]) => string[]
export type Broken = {
  what: string
  check: Check
  breakIt: (manifests: Manifest[]) => void
  complaint: RegExp
}

export const one = (manifests: Manifest[], kind: string, name: string): Json =>
  manifests.find((each) => each.kind === kind && each.metadata.name === name) ?? null
export const container = (manifests: Manifest[], name: string, kind = 'Deployment') =>
  at(one(manifests, kind, name), 'spec', 'template', 'spec', 'containers', 0)
const set = (value: Json | undefined, key: string, to: Json) => {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new Error(`nothing to set ${key} of`)
  value[key] = to
}
const drop = (manifests: Manifest[], kind: string, name: string) => {
  const index = manifests.findIndex((each) => each.kind === kind && each.metadata.name === name)
  if (index < 0) throw new Error(`no ${kind} ${name}`)
  manifests.splice(index, 1)
}
export const template = (manifests: Manifest[], name: string) =>
  at(one(manifests, 'Deployment', name), 'spec', 'template')

const { version } = JSON.parse(readProjectFile('package.json'))
export const ofThisVersion: Check = (manifests) => workloadComplaints(manifests, version)

export const BROKEN: Broken[] = [
  {
    what: 'a label that its selector does not know',
    check: selectorComplaints,
    breakIt: (all) =>
      set(at(template(all, 'persist'), 'metadata', 'labels'), 'app.kubernetes.io/component', 'persit'),
    complaint: /Deployment persist does not select its own pods/,
  },
  {
    what: 'a Service that selects nobody',
    check: selectorComplaints,
    breakIt: (all) =>
      set(at(one(all, 'Service', 'api'), 'spec', 'selector'), 'app.kubernetes.io/component', 'apis'),
    complaint: /Service api selects 0 workloads/,
  },
  {
    what: 'a policy for pods that are not there',
    check: selectorComplaints,
    breakIt: (all) =>
      set(at(one(all, 'NetworkPolicy', 'from-ingress'), 'spec'), 'podSelector', {
        matchLabels: { app: 'collector' },
      }),
    complaint: /NetworkPolicy from-ingress selects nothing/,
  },
  {
    what: 'a ServiceAccount that nobody made',
    check: referenceComplaints,
    breakIt: (all) => drop(all, 'ServiceAccount', 'millrace-outlets'),
    complaint: /StatefulSet archive wants ServiceAccount millrace-outlets/,
  },
  {
    what: 'a scale target of another kind',
    check: referenceComplaints,
    breakIt: (all) =>
      set(at(one(all, 'ScaledObject', 'archive'), 'spec', 'scaleTargetRef'), 'kind', 'Deployment'),
    complaint: /ScaledObject archive wants Deployment archive/,
  },
  {
    what: 'a probe on a port that is not open',
    check: portComplaints,
    breakIt: (all) => set(at(container(all, 'ingest'), 'livenessProbe', 'httpGet'), 'port', 9101),
    complaint: /Deployment ingest has a livenessProbe on a port/,
  },
  {
    what: 'a Service that leads to a closed port',
    check: portComplaints,
    breakIt: (all) => set(at(one(all, 'Service', 'collector'), 'spec', 'ports', 0), 'targetPort', 'web'),
    complaint: /Service collector leads to port web/,
  },
  {
    what: 'a container port that the configuration does not open',
    check: portComplaints,
    breakIt: (all) => set(at(container(all, 'dashboard'), 'ports', 0), 'containerPort', 9200),
    complaint: /Deployment dashboard declares ports \d+,9200, its process opens 8082,9100/,
  },
  {
    what: 'an Ingress to a port that a Service does not have',
    check: portComplaints,
    breakIt: (all) => set(at(one(all, 'Service', 'collector'), 'spec', 'ports', 0), 'name', 'web'),
    complaint: /Ingress leads to collector, which has no such port/,
  },
  {
    what: 'a key that the configuration does not know',
    check: environmentComplaints,
    breakIt: (all) => {
      const env = listAt(container(all, 'segment'), 'env')
      env.push({ name: 'MILLRACE_SHARD_COUNT', value: '16' })
    },
    complaint: /Deployment segment: MILLRACE_SHARD_COUNT is not a key/,
  },
  {
    what: 'a value that the configuration refuses',
    check: environmentComplaints,
    breakIt: (all) =>
      listAt(container(all, 'segment'), 'env').push({
        name: 'MILLRACE_POSTGRES_POOL_SIZE',
        value: 'many',
      }) as never,
    complaint: /Deployment segment would not start: .*MILLRACE_POSTGRES_POOL_SIZE is not a whole number/,
  },
  {
    what: 'a secret in the open',
    check: environmentComplaints,
    breakIt: (all) => listAt(container(all, 'api'), 'env').push({ name: 'SMTP_URL', value: 'smtp://x:y@z' }),
    complaint: /Deployment api: SMTP_URL is a secret and stands in the open/,
  },
  {
    what: 'links to Services in the environment',
    check: environmentComplaints,
    breakIt: (all) => set(at(template(all, 'api'), 'spec'), 'enableServiceLinks', true),
    complaint: /Deployment api: a Service named millrace/,
  },
  {
    what: 'a grace period that ends before the pool has stopped',
    check: graceComplaints,
    breakIt: (all) => set(at(template(all, 'deliver'), 'spec'), 'terminationGracePeriodSeconds', 30),
    complaint: /Deployment deliver is killed after 30000 ms, but may need 30000 ms/,
  },
  {
    what: 'a container that may write to its image',
    check: rightsComplaints,
    breakIt: (all) => set(at(container(all, 'api'), 'securityContext'), 'readOnlyRootFilesystem', false),
    complaint: /Deployment api: securityContext.readOnlyRootFilesystem/,
  },
  {
    what: 'a container that runs as root',
    check: rightsComplaints,
    breakIt: (all) => set(at(template(all, 'api'), 'spec', 'securityContext'), 'runAsUser', 0),
    complaint: /Deployment api: runAsUser/,
  },
  {
    what: 'a limit of CPU',
    check: resourceComplaints,
    breakIt: (all) => set(at(container(all, 'persist'), 'resources', 'limits'), 'cpu', '1'),
    complaint: /Deployment persist has a limit of CPU/,
  },
  {
    what: 'a liveness that hangs on the stores',
    check: probeComplaints,
    breakIt: (all) => set(at(container(all, 'persist'), 'livenessProbe', 'httpGet'), 'path', '/readyz'),
    complaint: /Deployment persist: livenessProbe does not ask \/healthz/,
  },
  {
    what: 'another version of the image',
    check: ofThisVersion,
    breakIt: (all) => set(container(all, 'exporter'), 'image', 'millrace:latest'),
    complaint: /Deployment exporter does not run millrace:/,
  },
  {
    what: 'a pool that is missing',
    check: ofThisVersion,
    breakIt: (all) => drop(all, 'Deployment', 'schedule'),
    complaint: /schedule is started by 0 workloads/,
  },
  {
    what: 'a budget that blocks a drain',
    check: disruptionComplaints,
    breakIt: (all) => set(at(one(all, 'PodDisruptionBudget', 'schedule'), 'spec'), 'maxUnavailable', 0),
    complaint: /PodDisruptionBudget schedule can block a drain/,
  },
  {
    what: 'two owners of one number',
    check: replicaComplaints,
    breakIt: (all) => set(at(one(all, 'Deployment', 'ingest'), 'spec'), 'replicas', 3),
    complaint: /Deployment ingest sets replicas/,
  },
  {
    what: 'no denial by default',
    check: networkComplaints,
    breakIt: (all) => drop(all, 'NetworkPolicy', 'default-deny'),
    complaint: /nothing denies by default/,
  },
  {
    what: 'a pool that cannot reach its stores',
    check: networkComplaints,
    breakIt: (all) => drop(all, 'NetworkPolicy', 'to-stores'),
    complaint: /Deployment ingest does not reach Redis/,
  },
  {
    what: 'a way to the metadata of the cloud',
    check: networkComplaints,
    breakIt: (all) =>
      set(at(one(all, 'NetworkPolicy', 'to-outside'), 'spec', 'egress', 0, 'to', 0, 'ipBlock'), 'except', []),
    complaint: /leads to the cloud's metadata/,
  },
]
