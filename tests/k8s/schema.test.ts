// Every object of every overlay against the models of Kubernetes and KEDA: types, required fields, and no key that an API
// server would drop in silence.
import { describe, expect, test } from 'vitest'
import { modelOf, unknownKeys } from '../support/manifest-keys.ts'
import { hasKubectl, type Manifest, OVERLAYS, render } from '../support/manifests.ts'

type Model = new (data: Manifest) => { validate(): void }

/** What is wrong with an object, in words; undefined when its model takes it. */
async function complaintOf(manifest: Manifest): Promise<string | undefined> {
  const model = modelOf(manifest)
  const module: Record<string, Model> = await import(`${model.package}/${model.path}`)
  const Kind = module[manifest.kind]
  if (Kind === undefined) return `${model.path} has no ${manifest.kind}`
  try {
    new Kind(manifest).validate()
    return undefined
  } catch (error) {
    return `${manifest.kind} ${manifest.metadata.name}: ${error instanceof Error ? error.message : 'invalid'}`
  }
}

describe.skipIf(!hasKubectl())('manifests', () => {
  test.each(OVERLAYS)('%s: every object fits its model', async (overlay) => {
    const manifests = render(overlay)
    expect(manifests.length).toBeGreaterThan(35)
    expect((await Promise.all(manifests.map(complaintOf))).filter((one) => one !== undefined)).toEqual([])
  })

  test.each(OVERLAYS)('%s: no object has a key that its kind does not know', (overlay) => {
    expect(render(overlay).flatMap(unknownKeys)).toEqual([])
  })

  test.each(OVERLAYS)(
    '%s: no two objects have one name, and all but cluster-wide ones are in the namespace',
    (overlay) => {
      const manifests = render(overlay)
      const names = manifests.map((one) => `${one.kind} ${one.metadata.name}`)
      expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
      const elsewhere = manifests.filter((one) => one.metadata.namespace !== 'millrace')
      expect(elsewhere.map((one) => one.kind)).toEqual(['Namespace'])
    },
  )
})

const deployment = (pod: object): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'x' },
  spec: { selector: {}, template: { spec: { containers: [{ name: 'x', ...pod }] } } },
})

test('a key that Kubernetes does not know would be found, however deep it is', () => {
  expect(unknownKeys(deployment({ livenessProbe: { httpGet: { path: '/', port: 1 } } }))).toEqual([])
  expect(unknownKeys(deployment({ livenessProb: {} }))).toEqual([
    'Deployment.spec.template.spec.containers[0].livenessProb',
  ])
  expect(unknownKeys(deployment({ livenessProbe: { httpGet: { path: '/', prot: 1 } } }))).toEqual([
    'Deployment.spec.template.spec.containers[0].livenessProbe.httpGet.prot',
  ])
  const scaled = {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: { name: 'x', labels: { free: 'as keys of labels are' } },
    spec: {
      scaleTargetRef: { name: 'x' },
      triggers: [{ type: 'cpu', metadata: { value: '1' }, metrictype: 'Utilization' }],
      advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleUp: { policy: [] } } } },
    },
  }
  expect(unknownKeys(scaled)).toEqual([
    'ScaledObject.spec.triggers[0].metrictype',
    'ScaledObject.spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.policy',
  ])
})

test('a value of the wrong type and a missing field would be found', async () => {
  expect(await complaintOf(deployment({ image: 'x' }))).toBeUndefined()
  expect(await complaintOf(deployment({ image: 5 }))).toMatch(/image/)
  expect(
    await complaintOf({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' }, spec: {} }),
  ).toMatch(/selector|template/)
})
