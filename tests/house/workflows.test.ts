// The GitHub workflows: actions of a full version, no right that a job does not need, no text of outsiders in a shell, and
// commands that are there.
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { isThere, projectFiles, ROOT, readProjectFile } from '../support/source-tree.ts'

type Step = { uses?: string; run?: string; with?: Record<string, unknown> }
type Job = {
  permissions?: Record<string, string>
  'timeout-minutes'?: number
  needs?: string
  'runs-on': string
  steps: Step[]
}
type Workflow = {
  on: Record<string, unknown>
  permissions: Record<string, string>
  jobs: Record<string, Job>
}

const WORKFLOWS = projectFiles().filter((path) => path.startsWith('.github/workflows/'))
const read = (path: string): Workflow => parse(readProjectFile(path))
const jobsOf = (workflow: Workflow) => Object.entries(workflow.jobs)

/** Who may write what; everything else reads the sources and no more. */
const MAY_WRITE: Record<string, string[]> = {
  'release.yml image': ['attestations', 'id-token', 'packages'],
  'release.yml release': ['contents'],
}

function complaintsOf(name: string, workflow: Workflow): string[] {
  const complaints: string[] = []
  if (Object.keys(workflow.permissions ?? { all: '' }).length > 0)
    complaints.push(`${name} has rights for all jobs`)
  if ('pull_request_target' in workflow.on)
    complaints.push(`${name} runs the code of outsiders with our rights`)
  for (const [jobName, job] of jobsOf(workflow)) {
    const where = `${name} ${jobName}`
    const writes = Object.entries(job.permissions ?? {}).filter(([, right]) => right === 'write')
    const allowed = MAY_WRITE[where] ?? []
    for (const [what] of writes) if (!allowed.includes(what)) complaints.push(`${where} may write ${what}`)
    if (job.permissions === undefined) complaints.push(`${where} does not say its rights`)
    if (job['timeout-minutes'] === undefined) complaints.push(`${where} may run for six hours`)
    if (/latest/.test(job['runs-on'])) complaints.push(`${where} runs on whatever is latest`)
    for (const step of job.steps) {
      if (step.uses !== undefined && !/^[\w-]+\/[\w-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})$/.test(step.uses))
        complaints.push(`${where} uses ${step.uses}, which is no full version`)
      if (step.uses?.startsWith('actions/checkout') && step.with?.['persist-credentials'] !== false)
        complaints.push(`${where} leaves its token in the sources`)
      if (/\$\{\{/.test(step.run ?? '')) complaints.push(`${where} puts an expression into a shell`)
    }
  }
  return complaints
}

test('workflows keep to full versions and to the least rights', () => {
  expect(WORKFLOWS.length).toBe(2)
  expect(WORKFLOWS.flatMap((path) => complaintsOf(path.split('/').at(-1) ?? '', read(path)))).toEqual([])
})

test('a workflow that takes too much would be found', () => {
  const careless: Workflow = {
    on: { pull_request_target: {} },
    permissions: { contents: 'write' },
    jobs: {
      tests: {
        'runs-on': 'ubuntu-latest',
        permissions: { packages: 'write' },
        steps: [{ uses: 'actions/checkout@v6' }, { run: `echo ${'$'}{{ github.event.pull_request.title }}` }],
      },
    },
  }
  expect(complaintsOf('careless.yml', careless)).toEqual([
    'careless.yml has rights for all jobs',
    'careless.yml runs the code of outsiders with our rights',
    'careless.yml tests may write packages',
    'careless.yml tests may run for six hours',
    'careless.yml tests runs on whatever is latest',
    'careless.yml tests uses actions/checkout@v6, which is no full version',
    'careless.yml tests leaves its token in the sources',
    'careless.yml tests puts an expression into a shell',
  ])
})

test('both workflows run what CI runs, and a release waits for it', () => {
  for (const path of WORKFLOWS)
    expect(read(path).jobs.tests?.steps.some((step) => step.run === '.ci/run')).toBe(true)
  expect(isThere('.ci/run')).toBe(true)
  const { jobs } = read('.github/workflows/release.yml')
  expect([jobs.image?.needs, jobs.release?.needs]).toEqual(['tests', 'image'])
})

test('images are built for the platforms that the papers name', () => {
  const platforms = WORKFLOWS.flatMap((path) => jobsOf(read(path)))
    .flatMap(([, job]) => job.steps)
    .flatMap((step) => (step.with?.platforms === undefined ? [] : [step.with.platforms]))
  expect(platforms).toEqual(['linux/amd64,linux/arm64', 'linux/amd64,linux/arm64'])
  expect(readProjectFile('docs/DEPLOYMENT.md')).toContain('--platform linux/amd64,linux/arm64')
})

test('every shell script of the workflows is one that bash can read', () => {
  const scripts = WORKFLOWS.flatMap((path) => jobsOf(read(path)))
    .flatMap(([, job]) => job.steps)
    .flatMap((step) => step.run ?? [])
  expect(scripts.length).toBeGreaterThan(5)
  for (const script of scripts) execFileSync('bash', ['-n'], { input: script, cwd: ROOT, stdio: 'pipe' })
})
