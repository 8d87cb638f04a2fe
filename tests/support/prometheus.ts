// A real Prometheus for tests: scrapes the given targets every second, with our rules, in a folder that goes with it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { choosePort, endChild, launchServer } from '../../cli/local/server.ts'

export type Sample = { labels: Record<string, string>; value: number }
export type Prometheus = {
  /** Throws with what Prometheus says of an expression that is wrong. */
  query(expression: string): Promise<Sample[]>
  /** Rules that could not be evaluated, with the reason; rules that were not evaluated yet count. */
  failingRules(): Promise<string[]>
  stop(): Promise<void>
}

type Answer = {
  status: string
  error?: string
  data: { result: { metric: Record<string, string>; value: [number, string] }[] }
}
type RulesAnswer = { data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] } }

/** `jobs`: the scrape jobs by name, each with its targets (`host:port`). */
export async function startPrometheus(options: {
  jobs: Record<string, string[]>
  ruleFiles: string[]
}): Promise<Prometheus> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-prometheus-'))
  const file = join(dir, 'prometheus.yaml')
  await writeFile(file, stringify(configuration(options)))
  const port = await choosePort(0)
  const url = `http://127.0.0.1:${port}`
  const child = await launchServer({
    what: 'prometheus',
    program: 'prometheus',
    args: [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    spawn: { cwd: dir },
    endsOn: 'SIGTERM',
    logFile: join(dir, 'log'),
    port,
    answers: async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok === true,
  })
  return {
    async query(expression) {
      const body = new URLSearchParams({ query: expression })
      const response = await fetch(`${url}/api/v1/query`, { method: 'POST', body })
      const answer = (await response.json()) as Answer
      if (answer.status !== 'success') throw new Error(`${expression}: ${answer.error}`)
      return answer.data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }))
    },
    async failingRules() {
      const { data } = (await (await fetch(`${url}/api/v1/rules`)).json()) as RulesAnswer
      const rules = data.groups.flatMap((group) => group.rules)
      return rules
        .filter(({ health }) => health !== 'ok')
        .map((rule) => `${rule.name}: ${rule.health} ${rule.lastError ?? ''}`)
    },
    async stop() {
      await endChild(child, 'SIGTERM', 'SIGKILL', 10_000)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function configuration({ jobs, ruleFiles }: { jobs: Record<string, string[]>; ruleFiles: string[] }) {
  return {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: ruleFiles,
    scrape_configs: Object.entries(jobs).map(([job_name, targets]) => ({
      job_name,
      static_configs: [{ targets }],
    })),
  }
}
