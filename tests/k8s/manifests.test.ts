// The overlays as a whole: every name, port, key and number in them is one that the code stands for. Each check is also
// given a copy that was broken on purpose, and must complain of exactly that.
import { execFileSync } from 'node:child_process'
import { totalmem } from 'node:os'
import { describe, expect, test } from 'vitest'
import { CONFIG_TABLE } from '../../runtime/config.ts'
import { REGISTRY } from '../../workers/registry.ts'
import {
  at,
  hasKubectl,
  listAt,
  type Manifest,
  OVERLAYS,
  ownWorkloads,
  render,
  textAt,
} from '../support/manifests.ts'
import { isThere, projectFiles, readProjectFile } from '../support/source-tree.ts'
import { BROKEN, type Check, container, ofThisVersion, one, template } from './broken.ts'
import { environmentComplaints, graceComplaints, variablesOf } from './environment.ts'
import { networkComplaints } from './network.ts'
import {
  disruptionComplaints,
  probeComplaints,
  replicaComplaints,
  resourceComplaints,
  rightsComplaints,
} from './pods.ts'
import { portComplaints } from './ports.ts'
import { referenceComplaints, selectorComplaints } from './selectors.ts'

const CHECKS: [string, Check][] = [
  ['selectors match', selectorComplaints],
  ['what is named is there', referenceComplaints],
  ['ports are those that the processes open', portComplaints],
  ['the environment is one that a process starts with', environmentComplaints],
  ['pods are given the time that they need to stop', graceComplaints],
  ['pods have no rights that they do not need', rightsComplaints],
  ['every container says what it needs', resourceComplaints],
  ['liveness asks for progress, readiness for the stores', probeComplaints],
  ['one workload a pool and server, of this version', ofThisVersion],
  ['a drain takes one pod at a time', disruptionComplaints],
  ['the autoscaler owns what it scales', replicaComplaints],
  ['the network lets through what is needed and no more', networkComplaints],
]

test('every pool and server is a file of its own that the base lists', () => {
  const listed = readProjectFile('k8s/base/kustomization.yaml')
  for (const path of [...REGISTRY.map((row) => row.k8sFile), 'api', 'dashboard', 'exporter'].map((name) =>
    name.endsWith('.yaml') ? name : `k8s/base/${name}.yaml`,
  )) {
    expect(isThere(path), path).toBe(true)
    expect(listed).toContain(`  - ${path.split('/').at(-1)}\n`)
  }
})

test('every file under k8s/ is used by some kustomization', () => {
  const unused = projectFiles()
    .filter(
      (path) =>
        /^k8s\/(base|overlays|components)\//.test(path) &&
        path.endsWith('.yaml') &&
        !path.endsWith('kustomization.yaml'),
    )
    // Rules and their tests are Prometheus' own files: tests/k8s/observability reads them.
    .filter((path) => !path.startsWith('k8s/observability/'))
    .filter((path) => {
      const [, folder = '', name = ''] = /^(.*)\/([^/]+)$/.exec(path) ?? []
      return !readProjectFile(`${folder}/kustomization.yaml`).includes(name)
    })
  expect(unused).toEqual([])
})

describe.skipIf(!hasKubectl())('overlays', () => {
  const rendered = new Map<string, Manifest[]>()
  const overlay = (name: string): Manifest[] => {
    const manifests = rendered.get(name) ?? render(name)
    rendered.set(name, manifests)
    return structuredClone(manifests)
  }

  test.each(OVERLAYS.flatMap((name) => CHECKS.map(([what, check]) => [name, what, check] as const)))(
    '%s: %s',
    (name, _what, check) => {
      expect(check(overlay(name))).toEqual([])
    },
  )

  test.each(BROKEN)('$what would be found', ({ check, breakIt, complaint }) => {
    const manifests = overlay('production')
    expect(check(manifests)).toEqual([])
    breakIt(manifests)
    expect(check(manifests).join('\n')).toMatch(complaint)
  })

  test('each check has a copy that it finds broken', () => {
    const tried = new Set(BROKEN.map((broken) => broken.check))
    expect(CHECKS.filter(([, check]) => !tried.has(check)).map(([what]) => what)).toEqual([])
  })

  test('what the collector serves reaches the collector through the Ingress, and what the API serves the API', () => {
    const paths = listAt(
      one(overlay('production'), 'Ingress', 'millrace'),
      'spec',
      'rules',
      0,
      'http',
      'paths',
    )
    const backendOf = (url: string): string => {
      const fitting = paths.filter((path) =>
        `${url}/`.startsWith(`${textAt(path, 'path')}/`.replace('//', '/')),
      )
      fitting.sort((a, b) => textAt(b, 'path').length - textAt(a, 'path').length)
      return textAt(fitting[0], 'backend', 'service', 'name')
    }
    const routesOf = (folder: string) =>
      projectFiles()
        .filter((path) => path.startsWith(`${folder}/`) && path.endsWith('.ts'))
        .flatMap((path) => [...readProjectFile(path).matchAll(/'(\/(?:api\/)?v1\/[a-z][^']*)'/g)])
        .map((match) => match[1] ?? '')
    // The debugger and its feed are for whoever forwards a port to a collector.
    const edge = routesOf('collector').filter((url) => !url.endsWith('/feed'))
    const admin = routesOf('api').filter((url) => url !== '/api/v1/events')
    expect(edge).toContain('/v1/batch')
    expect(admin).toContain('/api/v1/failed-events')
    expect(edge.filter((url) => backendOf(url) !== 'collector')).toEqual([])
    expect(admin.filter((url) => backendOf(url) !== 'api')).toEqual([])
  })

  test('the Ingress takes a body as large as Millrace does, and little more', () => {
    const limit = textAt(
      one(overlay('production'), 'Ingress', 'millrace'),
      'metadata',
      'annotations',
      'nginx.org/client-max-body-size',
    )
    const bytes = Number(limit.replace('k', '')) * 1024
    const ours = Number(CONFIG_TABLE.maxRequestBytes.default)
    expect(bytes).toBeGreaterThanOrEqual(ours)
    expect(bytes).toBeLessThan(ours * 1.1)
  })

  test('the stores on a single node are set as those of docker-compose.yml', () => {
    const compose = readProjectFile('docker-compose.yml')
    const single = overlay('single-node')
    const args = (name: string) => listAt(container(single, name, 'StatefulSet'), 'args').map(String)
    for (const word of args('redis').filter((text) => !/^\$\(|gb$/.test(text)))
      expect(compose).toContain(word)
    expect(compose).toContain(`command: [${args('postgres').join(', ')}]`)
    for (const name of ['redis', 'postgres'])
      expect(compose).toContain(`image: ${textAt(container(single, name, 'StatefulSet'), 'image')}`)
  })

  test('Node takes the options that it is given, and leaves room beside its heap', () => {
    const [pod] = ownWorkloads(overlay('production'))
    const variables = variablesOf(overlay('production'), pod?.pod ?? null)
    const options = variables.find((variable) => variable.name === 'NODE_OPTIONS')?.value ?? ''
    const limit = execFileSync(process.execPath, ['-p', 'v8.getHeapStatistics().heap_size_limit'], {
      env: { NODE_OPTIONS: options },
      encoding: 'utf8',
    })
    const memory = Math.min(totalmem(), process.constrainedMemory() || totalmem())
    // Without the option Node would take half or less.
    expect(Number(limit) / memory).toBeGreaterThan(0.6)
    expect(Number(limit) / memory).toBeLessThan(0.8)
  })

  test('pods run as the user of the image', () => {
    const user = /^USER (\d+):(\d+)$/m.exec(readProjectFile('Dockerfile'))
    for (const name of ['collector', 'persist']) {
      const context = at(template(overlay('production'), name), 'spec', 'securityContext')
      expect([textAt(context, 'runAsUser'), textAt(context, 'runAsGroup')]).toEqual(user?.slice(1))
    }
  })
})
