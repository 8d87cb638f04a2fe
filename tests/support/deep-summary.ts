// Vitest reporter of the deep run: one line a row of the fault matrix, with machine and commit, as Markdown and JSON
// under tests/results/. Named by shard, so that shards do not write over each other.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Reporter, TestCase, Vitest } from 'vitest/node'

type Line = { name: string; state: string; seconds: number; row: ReturnType<TestCase['meta']>['row'] }

export default class DeepSummary implements Reporter {
  #lines: Line[] = []
  #shard = ''
  #isPart = false
  #startedAt = Date.now()
  #commit = ''

  onInit(vitest: Vitest) {
    const { shard } = vitest.config
    this.#commit = gitSays('rev-parse', '--short=10', 'HEAD')
    if (gitSays('status', '--porcelain') !== '') this.#commit += ' (changed)'
    this.#shard = shard === undefined ? '' : `-${shard.index}-of-${shard.count}`
    // A run of one file or one test is somebody at work, not a result.
    this.#isPart =
      vitest.config.testNamePattern !== undefined ||
      process.argv.some((arg) => /\.deep\.ts$|^tests\/(?!faults\/$)./.test(arg))
  }

  onTestCaseResult(test: TestCase) {
    const { state } = test.result()
    const seconds = Math.round((test.diagnostic()?.duration ?? 0) / 100) / 10
    this.#lines.push({ name: test.name, state, seconds, row: test.meta().row })
  }

  onTestRunEnd() {
    if (this.#isPart || this.#lines.length === 0) return
    const folder = fileURLToPath(new URL('../results/', import.meta.url))
    mkdirSync(folder, { recursive: true })
    const head = {
      commit: this.#commit,
      at: new Date().toISOString(),
      machine: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}, Node ${process.version}`,
      minutes: Math.round((Date.now() - this.#startedAt) / 6000) / 10,
      passed: this.#lines.filter((line) => line.state === 'passed').length,
      failed: this.#lines.filter((line) => line.state === 'failed').length,
      skipped: this.#lines.filter((line) => line.state === 'skipped').length,
    }
    const file = `${folder}deep${this.#shard}`
    writeFileSync(`${file}.json`, `${JSON.stringify({ ...head, rows: this.#lines }, null, 1)}\n`)
    writeFileSync(`${file}.md`, `${markdown(head, this.#lines)}\n`)
  }
}

function markdown(head: Record<string, unknown>, lines: Line[]): string {
  const facts = Object.entries(head).map(([name, value]) => `- ${name}: ${String(value)}`)
  const rows = lines.map(({ name, state, seconds, row }) => {
    const hits = Object.entries(row?.hits ?? {}).map(([what, count]) => `${count} ${what}`)
    const counts =
      row !== undefined && 'events' in row
        ? [
            row.events.acked,
            row.events.lost,
            row.events.duplicated,
            row.events.phantom,
            row.events.altered,
            `${row.deliveries.received}/${row.deliveries.doubled}/${row.deliveries.unknown}`,
            row.acceptingAfterMs,
            row.atRestAfterMs,
          ]
        : Array<string>(8).fill('')
    return `| ${[name.replaceAll('|', '/'), state, hits.join(', '), ...counts, row?.seed ?? '', seconds].join(' | ')} |`
  })
  return [
    '# Deep run',
    '',
    ...facts,
    '',
    '| row | result | work that was hit | acked | lost | doubled | foreign | altered | messages sent/twice/unknown | accepting again ms | at rest again ms | seed | s |',
    `|${'---|'.repeat(13)}`,
    ...rows,
  ].join('\n')
}

function gitSays(...args: string[]): string {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}
