// What k8s/README.md and docs/DEPLOYMENT.md tell an operator to type and to apply: files, secrets and YAML that hold.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { unknownKeys } from '../support/manifest-keys.ts'
import {
  at,
  entriesAt,
  hasKubectl,
  hasPromtool,
  type Json,
  listAt,
  type Manifest,
  OVERLAYS,
  ofKind,
  ownWorkloads,
  render,
  textAt,
  workloads,
} from '../support/manifests.ts'
import { isThere, ROOT, readProjectFile } from '../support/source-tree.ts'

const PAPERS = ['k8s/README.md', 'docs/DEPLOYMENT.md']
const { version } = JSON.parse(readProjectFile('package.json'))
const readme = readProjectFile('k8s/README.md')

function blocksOf(path: string, language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm')
  return [...readProjectFile(path).matchAll(pattern)].map((match) => match[1] ?? '')
}

function documentsOf(path: string): Json[] {
  return blocksOf(path, 'yaml').flatMap((text) =>
    parseAllDocuments(text).map((document) => {
      expect(document.errors, path).toEqual([])
      return document.toJS()
    }),
  )
}

test('every YAML and JSON of the papers parses, and no object of Kubernetes in them has an unknown key', () => {
  const found = PAPERS.flatMap(documentsOf)
  expect(found.length).toBeGreaterThan(3)
  const modelled = found.filter((one): one is Manifest =>
    ['v1', 'apps/v1', 'networking.k8s.io/v1'].includes(textAt(one, 'apiVersion')),
  )
  expect(modelled.length).toBeGreaterThan(0)
  expect(modelled.flatMap(unknownKeys)).toEqual([])
  for (const path of PAPERS)
    for (const text of blocksOf(path, 'json')) expect(() => JSON.parse(text), path).not.toThrow()
})

test('every overlay, component and file of k8s/ that the papers name is there', () => {
  const wrong = PAPERS.flatMap((path) =>
    [...readProjectFile(path).matchAll(/(?:k8s\/)?((?:base|overlays|components)\/[\w./-]*\w)/g)]
      .map((match) => `k8s/${match[1]}`)
      .filter((name) => !isThere(name)),
  )
  expect(wrong).toEqual([])
  for (const overlay of OVERLAYS) expect(readme).toContain(`| \`overlays/${overlay}\` |`)
})

test('the jobs of the README are those of k8s/observability/, and keep ports that the pods have', () => {
  const scrape = documentsOf('k8s/README.md').find((one) => at(one, 'scrape_configs') !== undefined)
  const jobs = listAt(scrape, 'scrape_configs')
  const elsewhere: Json = parse(readProjectFile('k8s/observability/prometheus.yaml'))
  expect(jobs.map((job) => textAt(job, 'job_name'))).toEqual(
    listAt(elsewhere, 'scrape_configs').map((job) => textAt(job, 'job_name')),
  )
  const kept = jobs.map((job) => textAt(job, 'relabel_configs', 0, 'regex'))
  const base = [readProjectFile('k8s/base/pod.yaml'), readProjectFile('k8s/base/exporter.yaml')]
  expect(kept.map((name, i) => base[i]?.includes(`{ name: ${name}, containerPort: `))).toEqual([true, true])
})

describe.skipIf(!hasKubectl())('papers and manifests', () => {
  test("the overlay of one's own that the README shows changes what it says, and its way to stores in the cluster fits", () => {
    const [overlay, policy] = ['Kustomization', 'NetworkPolicy'].map((kind) =>
      documentsOf('k8s/README.md').find((one) => textAt(one, 'kind') === kind),
    )
    const folder = mkdtempSync(join(ROOT, 'k8s/overlays/.own-'))
    try {
      writeFileSync(join(folder, 'kustomization.yaml'), stringify(overlay))
      const own = render(basename(folder))
      const [ingress] = ofKind(own, 'Ingress')
      const [config] = ofKind(own, 'ConfigMap')
      const host = textAt(ingress, 'spec', 'rules', 0, 'host')
      expect(host).not.toBe('events.example.com')
      expect(textAt(config, 'data', 'MILLRACE_PUBLIC_URL')).toBe(`https://${host}`)
      const images = ownWorkloads(own).map(({ pod }) => textAt(pod, 'spec', 'containers', 0, 'image'))
      expect(new Set(images)).toEqual(new Set([`registry.example.com/millrace:${version}`]))
      writeFileSync(
        join(folder, 'kustomization.yaml'),
        stringify({ resources: ['../production'], patches: [{ patch: stringify(policy) }] }),
      )
      const patched = render(basename(folder)).find((one) => one.metadata.name === 'to-stores')
      expect(at(patched, 'spec', 'egress')).toEqual(at(policy, 'spec', 'egress'))
      expect(at(patched, 'spec', 'podSelector', 'matchLabels')).toBeDefined()
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('the README makes every secret that the manifests read, and no other', () => {
    const made = new Set<string>()
    for (const [, name = '', rest = ''] of readme.matchAll(
      /create secret generic ([\w-]+) \\\n((?:.*\\\n)*.*)/g,
    ))
      for (const [, key] of rest.matchAll(/--from-literal=(\w+)=/g)) made.add(`${name}/${key}`)
    const read = new Set<string>()
    const optional = new Set<string>()
    for (const manifests of OVERLAYS.map(render)) {
      for (const { pod } of workloads(manifests))
        for (const variable of listAt(pod, 'spec', 'containers', 0, 'env')) {
          const from = at(variable, 'valueFrom', 'secretKeyRef')
          if (from === undefined) continue
          const kept = at(from, 'optional') === true ? optional : read
          kept.add(`${textAt(from, 'name')}/${textAt(from, 'key')}`)
        }
      for (const one of ofKind(manifests, 'TriggerAuthentication'))
        for (const ref of listAt(one, 'spec', 'secretTargetRef'))
          read.add(`${textAt(ref, 'name')}/${textAt(ref, 'key')}`)
    }
    expect([...made].sort()).toEqual([...read].sort())
    for (const name of optional) expect(readme).toContain(`\`${name.split('/')[1]}\``)
  })

  test('the Job that the README waits for and the pod that it uses are there', () => {
    const manifests = render('single-node')
    const job = /wait --for=condition=complete job\/([\w-]+)/.exec(readme)?.[1]
    expect(ofKind(manifests, 'Job').map((one) => one.metadata.name)).toEqual([job])
    const pods = [...readme.matchAll(/exec deploy\/([\w-]+)/g)].map((match) => match[1] ?? '')
    const names = ownWorkloads(manifests).map(({ owner }) => owner.metadata.name)
    expect(pods.filter((name) => !names.includes(name))).toEqual([])
    for (const [, name, port] of readme.matchAll(/port-forward service\/(\w+) \d+:(\d+)/g)) {
      const service = ofKind(manifests, 'Service').find((one) => one.metadata.name === name)
      expect(
        listAt(service, 'spec', 'ports').map((one) => textAt(one, 'port')),
        name,
      ).toContain(port)
    }
  })

  test('the most connections that the README warns of are those of the most pods', () => {
    const most = ofKind(render('production'), 'ScaledObject').map((one) =>
      Number(at(one, 'spec', 'maxReplicaCount')),
    )
    // schedule stays at one.
    const pods = most.reduce((sum, count) => sum + count, 1)
    expect(readme).toContain(`All pools at their most are ${pods} pods`)
  })
})

test.skipIf(!hasPromtool())('the scrape configuration of the README is one that Prometheus takes', () => {
  const scrape = documentsOf('k8s/README.md').find((one) =>
    entriesAt(one).some(([key]) => key === 'scrape_configs'),
  )
  const folder = mkdtempSync(join(tmpdir(), 'millrace-promtool-'))
  try {
    const file = join(folder, 'prometheus.yaml')
    // Debian's promtool is built without the discovery of Kubernetes; what is done with the labels is checked.
    const jobs = listAt(scrape, 'scrape_configs').map((job) => {
      const { kubernetes_sd_configs: _found, ...rest } = Object.fromEntries(entriesAt(job))
      return { ...rest, static_configs: [] }
    })
    expect(jobs).toHaveLength(2)
    const text = stringify({ scrape_configs: jobs })
    writeFileSync(file, text)
    execFileSync('promtool', ['check', 'config', '--syntax-only', file], { stdio: 'pipe' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
