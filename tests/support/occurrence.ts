// An event of the oracle as the engine sees it.
import type { Occurrence } from '../../domain/segments/facts.ts'
import type { OracleEvent } from './oracle-event.ts'

/** As store/histories.ts gives it. */
export function occurrenceOf({ properties, value, currency, context, ...rest }: OracleEvent): Occurrence {
  const parts = { campaign: context?.campaign?.name, consent: context?.consent?.categoryPreferences }
  return { ...rest, value: value ?? null, currency: currency ?? null, props: properties, context: parts }
}
