// The shapes of load that scenarios are made of: events a second at a second. Pure functions; a recorded one comes from a
// file with a line a second.
import { fail } from '../../runtime/errors.ts'
import type { Curve } from './run.ts'

export function constant(rate: number): Curve {
  return () => rate
}

/** From `base` to `peak` within `rampSeconds`, held, and back as fast. */
export function spike(shape: {
  base: number
  peak: number
  fromSeconds: number
  rampSeconds: number
  holdSeconds: number
}): Curve {
  const { base, peak, fromSeconds, rampSeconds, holdSeconds } = shape
  return (at) => {
    const up = (at - fromSeconds) / rampSeconds
    const down = (fromSeconds + rampSeconds + holdSeconds + rampSeconds - at) / rampSeconds
    return base + (peak - base) * Math.max(0, Math.min(1, up, down))
  }
}

/** How busy each hour of a shop's day is: evenings most. The same as in the demo's shop. */
const HOURS = [2, 1, 1, 1, 1, 1, 2, 4, 5, 5, 5, 6, 8, 7, 5, 5, 6, 8, 11, 14, 16, 15, 11, 5]

/** A day whose busiest hour has `peak`, from midnight; between the hours in a straight line. */
export function daily(peak: number): Curve {
  const busiest = Math.max(...HOURS)
  return (at) => {
    const hour = (at / 3_600) % 24
    const before = HOURS[Math.floor(hour)] ?? 0
    const after = HOURS[(Math.floor(hour) + 1) % 24] ?? 0
    return (peak * (before + (after - before) * (hour % 1))) / busiest
  }
}

/** Everybody at once: from `base` to `peak` in `rampSeconds`, held, then half as many every `halvedEverySeconds`. */
export function flashSale(shape: {
  base: number
  peak: number
  fromSeconds: number
  rampSeconds: number
  holdSeconds: number
  halvedEverySeconds: number
}): Curve {
  const { base, peak, fromSeconds, rampSeconds, holdSeconds, halvedEverySeconds } = shape
  return (at) => {
    if (at < fromSeconds) return base
    const up = Math.min(1, (at - fromSeconds) / rampSeconds)
    const after = Math.max(0, at - fromSeconds - rampSeconds - holdSeconds)
    return base + (peak - base) * up * 0.5 ** (after / halvedEverySeconds)
  }
}

/** Lines `second,events per second` below a header; `scale` multiplies them. */
export function recorded(text: string, scale: number): { curve: Curve; seconds: number; peak: number } {
  const rates = text
    .trim()
    .split('\n')
    .slice(1)
    .map((line, i) => {
      const rate = Number(line.split(',')[1])
      if (!(rate >= 0))
        throw fail('invalid_request', `line ${i + 2} must be "second,events per second", not ${line}`)
      return rate * scale
    })
  if (rates.length === 0) throw fail('invalid_request', 'the file holds no line below its header')
  return { curve: (at) => rates[at] ?? 0, seconds: rates.length, peak: Math.max(...rates) }
}
