// Checks that every port that is named is one that the process behind it opens, by the configuration that it is given.
import type { Config } from '../../runtime/config.ts'
import {
  at,
  type Json,
  listAt,
  type Manifest,
  numberAt,
  ofKind,
  ownWorkloads,
  textAt,
  workloads,
} from '../support/manifests.ts'
import { configOf } from './environment.ts'
import { selects } from './selectors.ts'

type Port = { name: string; port: number }

/** What `start NAME` listens on (cli/run-process.ts): probes and metrics always, and the port of its server. */
export function openedBy(name: string, config: Config): number[] {
  const servers: Record<string, number> = {
    collector: config.httpPort,
    api: config.httpPort,
    dashboard: config.dashboardPort,
    exporter: config.exporterPort,
  }
  return [config.metricsPort, ...(servers[name] === undefined ? [] : [servers[name]])].sort((a, b) => a - b)
}

function portsOf(pod: Json): Port[] {
  return listAt(pod, 'spec', 'containers', 0, 'ports').map((one) => ({
    name: textAt(one, 'name'),
    port: numberAt(one, 'containerPort'),
  }))
}

const isOneOf = (ports: Port[], wanted: string) =>
  ports.some((one) => one.name === wanted || String(one.port) === wanted)

export function portComplaints(manifests: Manifest[]): string[] {
  const complaints: string[] = []
  for (const { name, owner, pod } of ownWorkloads(manifests)) {
    const [verb, what] = listAt(pod, 'spec', 'containers', 0, 'args')
    const opened = verb === 'start' ? openedBy(String(what), configOf(manifests, pod)) : []
    const declared = portsOf(pod)
      .map((one) => one.port)
      .sort((a, b) => a - b)
    if (String(declared) !== String(opened))
      complaints.push(`${name} declares ports ${declared}, its process opens ${opened}`)
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      const found = at(pod, 'spec', 'containers', 0, probe)
      if (owner.kind !== 'Job' && !isOneOf(portsOf(pod), textAt(found, 'httpGet', 'port')))
        complaints.push(`${name} has a ${probe} on a port that it does not open`)
    }
    // The names that Prometheus goes by (k8s/README.md).
    const metrics = portsOf(pod).find((one) => one.name === 'metrics')?.port
    if (owner.kind !== 'Job' && metrics !== configOf(manifests, pod).metricsPort)
      complaints.push(`${name} has no port of the name metrics where it serves them`)
  }
  return [...complaints, ...servicePorts(manifests), ...ingressPorts(manifests), ...policyPorts(manifests)]
}

function servicePorts(manifests: Manifest[]): string[] {
  return ofKind(manifests, 'Service').flatMap((service) => {
    const selector = { matchLabels: at(service, 'spec', 'selector') ?? {} }
    const pods = workloads(manifests).filter(({ pod }) => selects(selector, pod))
    return listAt(service, 'spec', 'ports')
      .map((one) => textAt(one, 'targetPort'))
      .filter((port) => pods.some(({ pod }) => !isOneOf(portsOf(pod), port)))
      .map((port) => `Service ${service.metadata.name} leads to port ${port}, which its pods do not open`)
  })
}

function ingressPorts(manifests: Manifest[]): string[] {
  const services = ofKind(manifests, 'Service')
  return ofKind(manifests, 'Ingress')
    .flatMap((one) => listAt(one, 'spec', 'rules', 0, 'http', 'paths'))
    .map((path) => at(path, 'backend', 'service'))
    .filter((wanted) => {
      const service = services.find((one) => one.metadata.name === textAt(wanted, 'name'))
      const names = listAt(service, 'spec', 'ports').map((one) => textAt(one, 'name'))
      return !names.includes(textAt(wanted, 'port', 'name'))
    })
    .map((wanted) => `Ingress leads to ${textAt(wanted, 'name')}, which has no such port`)
}

/** Named ports of a policy: some pod that it selects has each of them. */
function policyPorts(manifests: Manifest[]): string[] {
  return ofKind(manifests, 'NetworkPolicy').flatMap((policy) => {
    const pods = workloads(manifests).filter(({ pod }) => selects(at(policy, 'spec', 'podSelector'), pod))
    return listAt(policy, 'spec', 'ingress')
      .flatMap((rule) => listAt(rule, 'ports'))
      .map((one) => textAt(one, 'port'))
      .filter((port) => !pods.some(({ pod }) => isOneOf(portsOf(pod), port)))
      .map(
        (port) =>
          `NetworkPolicy ${policy.metadata.name} lets through port ${port}, which none of its pods opens`,
      )
  })
}
