// The metrics of random rules, with their cut points, as they are stored.
import { createMetric } from '../../store/metric-changes.ts'
import { storeCuts } from '../../store/metric-cuts.ts'
import type { Sql } from '../../store/sql.ts'
import { CUTS, METRICS } from './random-metrics.ts'

export async function storeMetrics(sql: Sql, asOf: Date): Promise<void> {
  for (const [slug, definition] of Object.entries(METRICS)) {
    const names = { slug, name: slug, definitionHash: slug, author: '', note: '' }
    const metric = await createMetric(sql, { ...names, definition })
    const points = CUTS[slug]
    if (metric !== undefined && points !== undefined)
      await storeCuts(sql, metric, { asOf, people: 21, points: [...points] })
  }
}
