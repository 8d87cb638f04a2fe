// One event of somebody, as the segment oracle and the random lives know it.

export type OracleEvent = {
  type: string
  name: string
  time: number
  /** Minor units. */
  value?: number
  currency?: string
  properties: Record<string, unknown>
  context?: {
    campaign?: { name?: unknown }
    consent?: { categoryPreferences?: unknown }
  }
}
