// When the people of the demo's shop come, on which device, how long they stay and whether they buy. Called by shop.ts.
// Times are ms relative to the anchor (the end of the shop's days), so negative. What is guaranteed here is what makes
// the demo's counts independent of how long it runs: no pause that is nearly a session's 30 minutes, nothing near the
// edge of the segment's 30-day window.
import { fail } from '../../runtime/errors.ts'
import { type Device, HABITS, type Person } from './people.ts'
import { createRandom, type Random } from './random.ts'

export type Visit = {
  person: Person
  device: Device
  /** The time of each of its messages, ascending. */
  timesMs: number[]
  buys: boolean
  /** Already logged in on this device when the visit starts. */
  known: boolean
  /** Logs in during this visit, or (when known already) tells its traits again. */
  identifies: boolean
}

type Span = { fromMs: number; toMs: number }
type Stay = { timesMs: number[]; buys: boolean }

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const WINDOW_MS = 30 * DAY
const EDGE_MARGIN_MS = 2 * HOUR
const LAST_MS = -5 * MINUTE
const BETWEEN_VISITS_MS = 46 * MINUTE
const MAX_TRIES = 500

/** The shop's clock at the anchor; how busy each of its hours is (evenings most). */
const ANCHOR_HOUR = 22
const HOUR_WEIGHTS = [2, 1, 1, 1, 1, 1, 2, 4, 5, 5, 5, 6, 8, 7, 5, 5, 6, 8, 11, 14, 16, 15, 11, 5]
const HOURS = HOUR_WEIGHTS.flatMap((weight, hour) => Array.from({ length: weight }, () => hour))

/**
 * All visits, each person's in order of time, of about `targetEvents` messages (more when what people must buy already
 * needs more). Throws invalid_config when the days are too few for them.
 */
export function planVisits(
  seed: number,
  people: Person[],
  options: { days: number; targetEvents: number },
): Visit[] {
  const random = createRandom(seed, 'visits')
  const stays = new Map(people.map((person) => [person, mustStays(random, person, options.days)]))
  let planned = [...stays.values()].flat().reduce((sum, stay) => sum + stay.timesMs.length, 0)
  // Some people come a few times as often as others.
  const crowd = people.flatMap((person) => Array.from({ length: random.int(1, 6) }, () => person))
  const whole = { fromMs: -options.days * DAY, toMs: LAST_MS }
  while (planned < options.targetEvents) {
    const own = stays.get(random.pick(crowd)) ?? []
    planned += addStay(random, own, { within: whole, buys: false })
  }
  return [...stays].flatMap(([person, own]) => assignDevices(random, person, own))
}

/** What a person does whatever happens: one visit at least, and the orders of their habit. */
function mustStays(random: Random, person: Person, days: number): Stay[] {
  const { recent, earlier } = HABITS[person.habit]
  const stays: Stay[] = []
  const start = -days * DAY
  const recentOrders = random.int(recent[0], recent[1])
  const earlierOrders = start < -WINDOW_MS - DAY ? random.int(earlier[0], earlier[1]) : 0
  const within = { fromMs: Math.max(start, -WINDOW_MS), toMs: LAST_MS }
  for (let n = 0; n < recentOrders; n += 1) addStay(random, stays, { within, buys: true })
  const before = { fromMs: start, toMs: -WINDOW_MS }
  for (let n = 0; n < earlierOrders; n += 1) addStay(random, stays, { within: before, buys: true })
  if (stays.length === 0) addStay(random, stays, { within: { fromMs: start, toMs: LAST_MS }, buys: false })
  return stays
}

/** Adds a visit where the person has time for it; returns its number of messages. */
function addStay(random: Random, stays: Stay[], wanted: { within: Span; buys: boolean }): number {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const count = wanted.buys ? random.int(10, 15) : Math.min(random.int(3, 15), random.int(3, 15))
    const timesMs = drawTimes(random, drawStart(random, wanted.within), count)
    const span = spanOf(timesMs)
    const fits = span.fromMs >= wanted.within.fromMs && span.toMs <= wanted.within.toMs && !isNearEdge(span)
    if (!fits || stays.some((stay) => isNear(spanOf(stay.timesMs), span))) continue
    stays.push({ timesMs, buys: wanted.buys })
    return count
  }
  throw fail('invalid_config', `the shop has no room for another visit of a person after ${MAX_TRIES} tries`)
}

/** An instant in whole days before the end of the span, at an hour of the shop's clock. */
function drawStart(random: Random, within: Span): number {
  const days = Math.ceil((within.toMs - within.fromMs) / DAY)
  const hoursBack = (ANCHOR_HOUR - 1 - random.pick(HOURS) + 24) % 24
  const inHour = random.int(0, HOUR - 1)
  const end = within.toMs === LAST_MS ? 0 : within.toMs
  return end - random.int(0, days - 1) * DAY - (hoursBack + 1) * HOUR + inHour
}

function drawTimes(random: Random, startMs: number, count: number): number[] {
  const times = [startMs]
  let at = startMs
  while (times.length < count) {
    at += drawPause(random)
    times.push(at)
  }
  return times
}

/** Seconds mostly, now and then some minutes; never 20, so far from the 30 that end a session. */
function drawPause(random: Random): number {
  const draw = random.next()
  if (draw < 0.6) return random.int(2 * SECOND, 20 * SECOND)
  if (draw < 0.9) return random.int(20 * SECOND, 90 * SECOND)
  if (draw < 0.97) return random.int(90 * SECOND, 5 * MINUTE)
  return random.int(5 * MINUTE, 19 * MINUTE)
}

function spanOf(timesMs: number[]): Span {
  return { fromMs: timesMs.at(0) ?? 0, toMs: timesMs.at(-1) ?? 0 }
}

function isNear(a: Span, b: Span): boolean {
  return a.fromMs < b.toMs + BETWEEN_VISITS_MS && b.fromMs < a.toMs + BETWEEN_VISITS_MS
}

function isNearEdge(span: Span): boolean {
  return span.fromMs < -WINDOW_MS + EDGE_MARGIN_MS && span.toMs > -WINDOW_MS - EDGE_MARGIN_MS
}

/** Devices in order of time: the first visit is on the first device, so that everybody logs in somewhere. */
function assignDevices(random: Random, person: Person, stays: Stay[]): Visit[] {
  const ordered = [...stays].sort((a, b) => (a.timesMs[0] ?? 0) - (b.timesMs[0] ?? 0))
  const [first] = person.devices
  if (first === undefined) return []
  const chosen = ordered.map((stay, index) => {
    const device = index === 0 || random.chance(0.4) ? first : random.pick(person.devices)
    return { ...stay, device: stay.buys && !device.logsIn ? first : device }
  })
  const visitsOn = new Map<Device, number>()
  const known = new Set<Device>()
  return chosen.map((stay, index) => {
    const { device } = stay
    const number = visitsOn.get(device) ?? 0
    visitsOn.set(device, number + 1)
    const isLastOnIt = !chosen.slice(index + 1).some((later) => later.device === device)
    const wasKnown = known.has(device)
    const logsIn =
      device.logsIn &&
      !wasKnown &&
      (stay.buys || number >= device.loginVisit || (device === first && isLastOnIt))
    if (logsIn) known.add(device)
    return { ...stay, person, known: wasKnown, identifies: logsIn || (wasKnown && random.chance(0.04)) }
  })
}
