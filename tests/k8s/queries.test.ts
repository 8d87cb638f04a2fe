// What the autoscaler's queries come to, by Prometheus' own evaluation of them over series as our processes serve them.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { hasKubectl, hasPromtool, listAt, ofKind, render, textAt } from '../support/manifests.ts'

function queryOf(pool: string, name: string): string {
  const scaled = ofKind(render('production'), 'ScaledObject').find((one) => one.metadata.name === pool)
  const trigger = listAt(scaled, 'spec', 'triggers').find((one) => textAt(one, 'name') === name)
  return textAt(trigger, 'metadata', 'query')
}

/** Evaluates `query` after ten minutes of the series; throws with promtool's report when it is not `value`. */
function mustBe(query: string, value: number, series: Record<string, string>): void {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-promtool-'))
  try {
    const file = join(folder, 'test.yaml')
    const input = Object.entries(series).map(([name, values]) => ({ series: name, values }))
    const expectation = {
      expr: query,
      eval_time: '10m',
      exp_samples: [{ labels: '{}', value }],
    }
    writeFileSync(
      file,
      stringify({ tests: [{ interval: '15s', input_series: input, promql_expr_test: [expectation] }] }),
    )
    execFileSync('promtool', ['test', 'rules', file], { encoding: 'utf8', stdio: 'pipe' })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What two exporters serve while one takes over from the other in a rollout. */
const QUEUES = Object.fromEntries(
  ['a', 'b'].flatMap((pod) => [
    [`millrace_queue_jobs{queue="segment-00",state="waiting",pod="${pod}"}`, '300x40'],
    [`millrace_queue_jobs{queue="segment-00",state="active",pod="${pod}"}`, '50x40'],
    [`millrace_queue_jobs{queue="segment-15",state="waiting",pod="${pod}"}`, '7x40'],
    [`millrace_queue_jobs{queue="segment-15",state="failed",pod="${pod}"}`, '1000x40'],
    [`millrace_queue_jobs{queue="persist",state="waiting",pod="${pod}"}`, '9000x40'],
    [`millrace_queue_oldest_age_seconds{queue="segment-00",pod="${pod}"}`, '3x40'],
    [`millrace_queue_oldest_age_seconds{queue="segment-15",pod="${pod}"}`, '12x40'],
    [`millrace_queue_oldest_age_seconds{queue="persist",pod="${pod}"}`, '90x40'],
  ]),
)

describe.skipIf(!hasKubectl() || !hasPromtool())('queries of the autoscaler', () => {
  test('depth is the waiting and active jobs of the queues of the pool, once though two exporters tell them', () => {
    mustBe(queryOf('segment', 'depth'), 357, QUEUES)
    mustBe(queryOf('persist', 'depth'), 9000, QUEUES)
    expect(() => mustBe(queryOf('segment', 'depth'), 714, QUEUES)).toThrow()
  })

  test('age is that of the oldest job of any of its queues', () => {
    mustBe(queryOf('segment', 'age'), 12, QUEUES)
  })

  test('arriving events are those of all collectors, a second, and only accepted ones', () => {
    mustBe(queryOf('persist', 'arriving'), 300, {
      'millrace_events_total{stage="collector",verdict="accepted",pod="a"}': '0+1500x40',
      'millrace_events_total{stage="collector",verdict="accepted",pod="b"}': '0+3000x40',
      'millrace_events_total{stage="collector",verdict="refused",pod="a"}': '0+900x40',
      'millrace_events_total{stage="ingest",verdict="normalised",pod="c"}': '0+4500x40',
    })
  })
})
