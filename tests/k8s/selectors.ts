// Checks that what points at something points at what is there. Each returns its complaints, so that a test can break a
// copy of the manifests and see itself complained about.
import {
  at,
  entriesAt,
  type Json,
  listAt,
  type Manifest,
  ofKind,
  textAt,
  workloads,
} from '../support/manifests.ts'

/** Labels of a selector against labels of pods; `matchExpressions` are those with `In`, which is all that we use. */
export function selects(selector: Json | undefined, pod: Json): boolean {
  const label = (key: string) => textAt(pod, 'metadata', 'labels', key)
  return (
    entriesAt(selector, 'matchLabels').every(([key, value]) => label(key) === value) &&
    listAt(selector, 'matchExpressions').every(
      (one) => textAt(one, 'operator') === 'In' && listAt(one, 'values').includes(label(textAt(one, 'key'))),
    )
  )
}

export function selectorComplaints(manifests: Manifest[]): string[] {
  const all = workloads(manifests)
  const hit = (selector: Json | undefined) =>
    all.filter(({ pod }) => selects(selector, pod)).map((one) => one.name)
  const complaints: string[] = []
  for (const { owner, name, pod } of all.filter((one) => one.owner.kind !== 'Job')) {
    if (!selects(at(owner, 'spec', 'selector'), pod)) complaints.push(`${name} does not select its own pods`)
    const others = hit(at(owner, 'spec', 'selector')).filter((one) => one !== name)
    if (others.length > 0) complaints.push(`${name} also selects the pods of ${others}`)
  }
  for (const one of ofKind(manifests, 'Service')) {
    const found = hit({ matchLabels: at(one, 'spec', 'selector') ?? {} })
    if (found.length !== 1) complaints.push(`Service ${one.metadata.name} selects ${found.length} workloads`)
  }
  for (const one of ofKind(manifests, 'PodDisruptionBudget')) {
    const found = hit(at(one, 'spec', 'selector'))
    if (found.length !== 1)
      complaints.push(`PodDisruptionBudget ${one.metadata.name} selects ${found.length} workloads`)
  }
  for (const one of ofKind(manifests, 'NetworkPolicy'))
    if (hit(at(one, 'spec', 'podSelector')).length === 0)
      complaints.push(`NetworkPolicy ${one.metadata.name} selects nothing`)
  return complaints
}

/** Accounts, ConfigMaps, claims and scale targets by their names. */
export function referenceComplaints(manifests: Manifest[]): string[] {
  const there = new Set(manifests.map((one) => `${one.kind} ${one.metadata.name}`))
  const wanted: [string, string][] = []
  for (const { owner, name, pod } of workloads(manifests)) {
    const account = textAt(pod, 'spec', 'serviceAccountName')
    if (account !== '') wanted.push([name, `ServiceAccount ${account}`])
    const service = textAt(owner, 'spec', 'serviceName')
    if (service !== '') wanted.push([name, `Service ${service}`])
    const volumes = new Set([
      ...listAt(pod, 'spec', 'volumes').map((one) => textAt(one, 'name')),
      ...listAt(owner, 'spec', 'volumeClaimTemplates').map((one) => textAt(one, 'metadata', 'name')),
    ])
    for (const container of listAt(pod, 'spec', 'containers')) {
      for (const from of listAt(container, 'envFrom'))
        wanted.push([name, `ConfigMap ${textAt(from, 'configMapRef', 'name')}`])
      for (const mount of listAt(container, 'volumeMounts'))
        if (!volumes.has(textAt(mount, 'name'))) wanted.push([name, `volume ${textAt(mount, 'name')}`])
    }
  }
  for (const one of ofKind(manifests, 'ScaledObject')) {
    const name = `ScaledObject ${one.metadata.name}`
    const target = at(one, 'spec', 'scaleTargetRef')
    wanted.push([name, `${textAt(target, 'kind')} ${textAt(target, 'name')}`])
    for (const trigger of listAt(one, 'spec', 'triggers')) {
      const authentication = textAt(trigger, 'authenticationRef', 'name')
      if (authentication !== '') wanted.push([name, `TriggerAuthentication ${authentication}`])
    }
  }
  return wanted
    .filter(([, what]) => !there.has(what))
    .map(([who, what]) => `${who} wants ${what}, which is not there`)
}
