// Checks that nothing is let through by default, and that every pod reaches what it needs.
import { at, type Json, listAt, type Manifest, ofKind, ownWorkloads, textAt } from '../support/manifests.ts'
import { selects } from './selectors.ts'

/** Who may reach the Internet: what sends. */
const TO_OUTSIDE = ['archive', 'deliver']
const EVERYWHERE = '0.0.0.0/0'

export function networkComplaints(manifests: Manifest[]): string[] {
  const policies = ofKind(manifests, 'NetworkPolicy')
  const complaints: string[] = []
  const denies = policies.some(
    (one) =>
      JSON.stringify(at(one, 'spec')) ===
      JSON.stringify({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
  )
  if (!denies) complaints.push('nothing denies by default')
  for (const { name, owner, pod } of ownWorkloads(manifests)) {
    const rules = policies
      .filter((one) => selects(at(one, 'spec', 'podSelector'), pod))
      .flatMap((one) => listAt(one, 'spec', 'egress'))
    for (const [what, port] of [
      ['Redis', '6379'],
      ['Postgres', '5432'],
      ['names', '53'],
    ] as const)
      if (!rules.some((rule) => portsOf(rule).includes(port)))
        complaints.push(`${name} does not reach ${what}`)
    const goesOut = rules.some((rule) =>
      listAt(rule, 'to').some((to) => textAt(to, 'ipBlock', 'cidr') === EVERYWHERE),
    )
    if (goesOut !== TO_OUTSIDE.includes(owner.metadata.name))
      complaints.push(`${name} ${goesOut ? 'reaches' : 'does not reach'} the Internet`)
  }
  for (const rule of policies.flatMap((one) => listAt(one, 'spec', 'egress')))
    for (const to of listAt(rule, 'to'))
      if (
        textAt(to, 'ipBlock', 'cidr') === EVERYWHERE &&
        !listAt(to, 'ipBlock', 'except').includes('169.254.0.0/16')
      )
        complaints.push("a way out leads to the cloud's metadata")
  for (const rule of policies.flatMap((one) => [
    ...listAt(one, 'spec', 'egress'),
    ...listAt(one, 'spec', 'ingress'),
  ]))
    if (listAt(rule, 'ports').length === 0 || listAt(rule, 'to').length + listAt(rule, 'from').length === 0)
      complaints.push('a rule without ports or without peers lets everything through')
  return complaints
}

function portsOf(rule: Json): string[] {
  return listAt(rule, 'ports').map((one) => textAt(one, 'port'))
}
