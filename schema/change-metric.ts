// What one condition found when somebody entered or left a segment, against what it asks for. Stored with the change as
// JSON, shown by the API. A condition without a threshold (absence, steps, lists, places) has none here either.
import Type, { type Static } from 'typebox'

/** A change keeps at most so many conditions, and texts at most so long: about 3 KB at the very worst, mostly 100 bytes. */
export const METRIC_LIMITS = { conditions: 12, textLength: 64 } as const

export const ChangeMetric = Type.Object(
  {
    path: Type.String({ description: 'Where it stands in the rule', examples: ['rule.match.of[0]'] }),
    k: Type.String({ examples: ['agg'] }),
    holds: Type.Boolean(),
    value: Type.Unknown({
      description:
        'The trait, the aggregate as decimal text (revenue in minor units), the property or time of the event, the number of events; long texts are cut and end in …',
      examples: ['6'],
    }),
    op: Type.Optional(Type.String({ examples: ['gte'] })),
    threshold: Type.Optional(Type.Unknown({ examples: ['6'] })),
  },
  { description: 'A condition that decided it' },
)
export type ChangeMetric = Static<typeof ChangeMetric>

/** As a member of a change; null = none is kept: of a merge, of an archived segment, or from before they were. */
export const ChangeMetrics = Type.Union([Type.Array(ChangeMetric), Type.Null()], {
  description:
    'What the conditions that decided it found at that instant, as they stand in the rule of `version`; null = not known: of a merge, of an archived segment, or from before this was kept',
})
