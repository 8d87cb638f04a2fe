// The files of k8s/observability as the tests read them, and the programs of Prometheus where they are installed.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parse } from 'yaml'
import { projectFiles, ROOT, readProjectFile } from './source-tree.ts'

export type Rule = {
  record?: string
  alert?: string
  expr: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
}
export type Panel = { dashboard: string; title: string; expr: string }

const FOLDER = 'k8s/observability'
const filesOf = (folder: string) => projectFiles().filter((path) => path.startsWith(`${FOLDER}/${folder}/`))

export const RULE_FILES = filesOf('rules')
export const RULE_TEST_FILES = filesOf('rules-tests')
export const DASHBOARD_FILES = filesOf('dashboards')
export const absolute = (path: string) => join(ROOT, path)

export const RULES: Rule[] = RULE_FILES.flatMap((path) => {
  const file: { groups: { rules: Rule[] }[] } = parse(readProjectFile(path))
  return file.groups.flatMap((group) => group.rules)
})
export const ALERTS = RULES.flatMap((rule) =>
  rule.alert === undefined ? [] : [{ ...rule, alert: rule.alert }],
)

/** Every query of every panel. */
export const PANELS: Panel[] = DASHBOARD_FILES.flatMap((path) => {
  const dashboard: { title: string; panels: { title: string; targets?: { expr: string }[] }[] } = JSON.parse(
    readProjectFile(path),
  )
  return dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ dashboard: dashboard.title, title, expr })),
  )
})

const isInstalled = (program: string, ...args: string[]) => spawnSync(program, args).status === 0
/** For `test.skipIf(!hasPrometheus)`; says once a file that tests are skipped. */
export const hasPrometheus = isInstalled('prometheus', '--version') && isInstalled('promtool', '--version')
if (!hasPrometheus) process.stderr.write('SKIPPED: prometheus and promtool are not installed\n')
export const hasKubectl = isInstalled('kubectl', 'version', '--client')
if (!hasKubectl) process.stderr.write('SKIPPED: kubectl is not installed\n')
