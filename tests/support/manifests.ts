// The overlays of k8s/ as `kubectl kustomize` renders them: tests look at exactly what a cluster would be given.
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { ROOT } from './source-tree.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type Manifest = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string }
} & {
  [key: string]: Json
}

export const OVERLAYS = readdirSync(join(ROOT, 'k8s/overlays'))
  .filter((name) => !name.startsWith('.'))
  .sort()

/** False where there is no kubectl: says so once a file, loudly, and the tests of manifests are skipped. */
export function hasKubectl(): boolean {
  return isInstalled('kubectl', ['version', '--client'], 'the Kubernetes manifests are not checked')
}

export function hasPromtool(): boolean {
  return isInstalled('promtool', ['--version'], 'what is written for Prometheus is not evaluated')
}

function isInstalled(program: string, args: string[], otherwise: string): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return true
  } catch {
    console.warn(`SKIPPED: no ${program} here, so ${otherwise}`)
    return false
  }
}

export function render(overlay: string): Manifest[] {
  const text = execFileSync('kubectl', ['kustomize', join(ROOT, 'k8s/overlays', overlay)], {
    encoding: 'utf8',
    stdio: 'pipe',
  })
  return parseAllDocuments(text).map((document) => document.toJS())
}

/** The value at a path of keys and indices; undefined when something on the way is missing. */
export function at(value: Json | undefined, ...path: (string | number)[]): Json | undefined {
  let found: Json | undefined = value
  for (const step of path) {
    if (found === null || typeof found !== 'object') return undefined
    found = Array.isArray(found) ? found[Number(step)] : found[step]
  }
  return found
}

export function listAt(value: Json | undefined, ...path: (string | number)[]): Json[] {
  const found = at(value, ...path)
  return Array.isArray(found) ? found : []
}

export function textAt(value: Json | undefined, ...path: (string | number)[]): string {
  const found = at(value, ...path)
  return typeof found === 'string' || typeof found === 'number' ? String(found) : ''
}

export function numberAt(value: Json | undefined, ...path: (string | number)[]): number {
  const found = at(value, ...path)
  return typeof found === 'number' ? found : Number.NaN
}

export function entriesAt(value: Json | undefined, ...path: (string | number)[]): [string, Json][] {
  const found = at(value, ...path)
  return found !== null && typeof found === 'object' && !Array.isArray(found) ? Object.entries(found) : []
}

export function ofKind(manifests: Manifest[], ...kinds: string[]): Manifest[] {
  return manifests.filter((one) => kinds.includes(one.kind))
}

/** Everything that makes pods, with the template of the pods. */
export function workloads(manifests: Manifest[]): { owner: Manifest; name: string; pod: Json }[] {
  return ofKind(manifests, 'Deployment', 'StatefulSet', 'Job').map((owner) => ({
    owner,
    name: `${owner.kind} ${owner.metadata.name}`,
    pod: at(owner, 'spec', 'template') ?? null,
  }))
}

/** Those whose pods run Millrace itself. */
export function ownWorkloads(manifests: Manifest[]) {
  return workloads(manifests).filter(
    ({ pod }) => at(pod, 'metadata', 'labels', 'app.kubernetes.io/name') === 'millrace',
  )
}
