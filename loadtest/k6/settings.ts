// What a k6 run is told by `-e NAME=value` (loadtest/run.ts sets them all): where, with which keys, how much, how long.

export type Settings = {
  /** Collector and API. */
  target: string
  writeKey: string
  secretKey: string
  /** Starts every id of this run. */
  run: string
  /** Events a second that the deployment is expected to carry: 100 % of every shape. */
  rate: number
  /** The main part of a shape; its ramps come on top. */
  seconds: number
  /** Events that come alone in a request, 0 … 1; each costs the generator and the collector as much as a batch. */
  singlesShare: number
}

function needed(name: string): string {
  const value = __ENV[name]
  if (value === undefined || value === '')
    throw new Error(`-e ${name}=… is needed (node loadtest/run.ts sets it)`)
  return value
}

function positive(name: string, fallback: number): number {
  const value = Number(__ENV[name] ?? fallback)
  if (!(value > 0)) throw new Error(`-e ${name} must be a number above 0, not ${__ENV[name]}`)
  return value
}

/** Events in a batch, as SDKs send after a short while. */
export const BATCH_EVENTS = 50

export const settings: Settings = {
  target: needed('TARGET').replace(/\/$/, ''),
  writeKey: needed('WRITE_KEY'),
  secretKey: needed('SECRET_KEY'),
  run: needed('RUN'),
  rate: positive('RATE', 1_000),
  seconds: positive('SECONDS', 30),
  singlesShare: positive('SINGLES_PERCENT', 20) / 100,
}
