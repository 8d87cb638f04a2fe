// docs/METRICS.md as the table of metrics says it. tests/house/metrics.test.ts compares the committed page with this one.
import { type MetricRow, SECONDS } from '../../runtime/instruments.ts'

/** The whole page, as Markdown. */
export function metricsPage(areas: { title: string; about: string; rows: Record<string, MetricRow> }[]) {
  return [
    '# Metrics',
    '',
    '<!-- Made from runtime/metrics.ts by tests/house/metrics.test.ts: edit the table, then run',
    '     npm test -- tests/house/metrics.test.ts -u -->',
    '',
    'Prometheus reads `/metrics` of every process (`MILLRACE_METRICS_PORT`) and of the one exporter (`MILLRACE_EXPORTER_PORT`).',
    'A name or label here is never changed, only added. What is alerted on is in [RUNBOOK.md](RUNBOOK.md), what is promised in',
    '[SERVICE-LEVELS.md](SERVICE-LEVELS.md); rules and dashboards are in [k8s/observability](../k8s/observability/README.md).',
    '',
    `Histograms have the bounds ${SECONDS.join(', ')} s.`,
    ...areas.flatMap(({ title, about, rows }) => [
      '',
      `## ${title}`,
      '',
      about,
      '',
      '| name | type | unit | labels | served by | what |',
      '|---|---|---|---|---|---|',
      ...Object.values(rows).map(rowOf),
    ]),
    '',
  ].join('\n')
}

function rowOf(row: MetricRow): string {
  const labels = row.labels.length === 0 ? '–' : row.labels.map((label) => `\`${label}\``).join(', ')
  return `| \`${row.name}\` | ${row.kind} | ${row.unit} | ${labels} | ${row.from} | ${row.help} |`
}
