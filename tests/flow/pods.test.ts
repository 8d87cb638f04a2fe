// The pods of k8s/overlays/production as processes: what their manifests give them makes a working Millrace.
import { describe, expect, test } from 'vitest'
import { RUNNABLE } from '../../cli/run-process.ts'
import { variablesOf } from '../k8s/environment.ts'
import { hasKubectl, listAt, ownWorkloads, render } from '../support/manifests.ts'
import { runThrough, type Service } from '../support/service-processes.ts'

describe.skipIf(!hasKubectl())('pods as processes', () => {
  test('with the arguments and the environment of their manifests pods carry an event and stop cleanly', async () => {
    const manifests = render('production')
    const services = ownWorkloads(manifests).map(({ owner, pod }): Service => {
      const given = variablesOf(manifests, pod).filter((variable) => !variable.fromSecret)
      return {
        name: owner.metadata.name,
        command: listAt(pod, 'spec', 'containers', 0, 'args').map(String),
        environment: Object.fromEntries(given.map(({ name, value }) => [name, value])),
      }
    })
    const migrate = services.find((service) => service.command[0] === 'migrate')
    const pods = services.filter((service) => service.command[0] === 'start')
    expect(pods.map((service) => service.name).sort()).toEqual([...RUNNABLE].sort())
    if (migrate === undefined) throw new Error('no Job migrates')
    await runThrough(migrate, pods)
  }, 120_000)
})
