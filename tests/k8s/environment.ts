// The environment that a container is given, read as the process in it reads it: by runtime/config.ts.
import { CONFIG_TABLE, type Config, readConfig } from '../../runtime/config.ts'
import { describeError } from '../../runtime/errors.ts'
import {
  at,
  entriesAt,
  type Json,
  listAt,
  type Manifest,
  numberAt,
  ofKind,
  ownWorkloads,
  textAt,
} from '../support/manifests.ts'

type Variable = { name: string; value: string; fromSecret: boolean }

/** Read by Node itself, not by us. */
const OF_NODE = ['NODE_OPTIONS']
const KEYS = new Map(Object.values(CONFIG_TABLE).map((entry) => [entry.env as string, entry]))

export function variablesOf(manifests: Manifest[], pod: Json): Variable[] {
  const container = at(pod, 'spec', 'containers', 0)
  const shared = listAt(container, 'envFrom').flatMap((from) => {
    const name = textAt(from, 'configMapRef', 'name')
    const map = ofKind(manifests, 'ConfigMap').find((one) => one.metadata.name === name)
    return entriesAt(map, 'data').map(([key, value]) => ({
      name: key,
      value: String(value),
      fromSecret: false,
    }))
  })
  const own = listAt(container, 'env').map((one) => {
    const name = textAt(one, 'name')
    const fromSecret = at(one, 'valueFrom', 'secretKeyRef') !== undefined
    // A URL is right for every secret there is.
    return { name, value: fromSecret ? `redis://${name.toLowerCase()}` : textAt(one, 'value'), fromSecret }
  })
  return [...shared, ...own]
}

export function configOf(manifests: Manifest[], pod: Json): Config {
  const variables = variablesOf(manifests, pod).filter((one) => !OF_NODE.includes(one.name))
  return readConfig(Object.fromEntries(variables.map((one) => [one.name, one.value])))
}

export function environmentComplaints(manifests: Manifest[]): string[] {
  return ownWorkloads(manifests).flatMap(({ name, pod }) => {
    const complaints: string[] = []
    for (const variable of variablesOf(manifests, pod)) {
      const key = KEYS.get(variable.name)
      if (key === undefined && !OF_NODE.includes(variable.name))
        complaints.push(`${name}: ${variable.name} is not a key of the configuration`)
      if (key !== undefined && 'secret' in key && !variable.fromSecret)
        complaints.push(`${name}: ${variable.name} is a secret and stands in the open`)
    }
    try {
      configOf(manifests, pod)
    } catch (error) {
      complaints.push(`${name} would not start: ${describeError(error)}`)
    }
    if (at(pod, 'spec', 'enableServiceLinks') !== false)
      complaints.push(`${name}: a Service named millrace-… would add variables that end the start`)
    return complaints
  })
}

/** Kubernetes kills after the grace period, whatever the process still has in hand. */
export function graceComplaints(manifests: Manifest[]): string[] {
  return ownWorkloads(manifests).flatMap(({ name, owner, pod }) => {
    if (owner.kind === 'Job') return []
    const graceMs = numberAt(pod, 'spec', 'terminationGracePeriodSeconds') * 1000
    const sleep = at(pod, 'spec', 'containers', 0, 'lifecycle', 'preStop', 'sleep')
    const sleepMs = sleep === undefined ? 0 : numberAt(sleep, 'seconds') * 1000
    const neededMs = configOf(manifests, pod).stopDeadlineMs + sleepMs
    return graceMs > neededMs
      ? []
      : [`${name} is killed after ${graceMs} ms, but may need ${neededMs} ms to stop`]
  })
}
