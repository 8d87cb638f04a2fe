// Leaves on what is known of a person: traits, dates among them, places, and which part of a sample they fall in. Pure.
import { createHash } from 'node:crypto'
import type { AnniversaryNode, DateNode, GeoNode, SampleNode, TraitNode } from '../../schema/rule.ts'
import { parseEventTime } from '../event-time.ts'
import { isLeapYear, type LocalDate, localDate, normal, startOfDay } from './calendar.ts'
import { zoneOf } from './clock.ts'
import { conditionHolds, valueAt } from './conditions.ts'
import { parseDuration } from './durations.ts'
import type { Facts } from './facts.ts'
import { constant, NEVER, type Timed } from './timed.ts'

export function evaluateTrait(leaf: TraitNode, { traits }: Facts): Timed {
  const found = valueAt(traits, leaf.path)
  if (leaf.orMissing === true && (found === undefined || found === null)) return constant(true)
  return constant(conditionHolds(found, leaf))
}

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/

/** A day without a time begins at midnight UTC. */
export function instantOf(value: unknown): number | undefined {
  if (typeof value !== 'string') return undefined
  return parseEventTime(DATE.test(value) ? `${value}T00:00:00Z` : value)
}

export function evaluateDate({ path, op, value }: DateNode, { traits }: Facts, atMs: number): Timed {
  const date = instantOf(valueAt(traits, path))
  if (date === undefined) return constant(false)
  const limit = Date.parse(value)
  if (op === 'before') return constant(date < limit)
  if (op === 'after') return constant(date > limit)
  const ms = parseDuration(value) ?? 0
  switch (op) {
    case 'within':
      return between(date, date + ms, atMs)
    case 'olderThan':
      return between(date + ms, NEVER, atMs)
    case 'inNext':
      return between(date - ms, date, atMs)
    case 'furtherThan':
      return between(Number.NEGATIVE_INFINITY, date - ms, atMs)
  }
}

/** Holds from one instant on, up to another. */
function between(from: number, to: number, atMs: number): Timed {
  if (atMs < from) return { holds: false, until: from }
  return atMs < to ? { holds: true, until: to } : constant(false)
}

/** The local day of a date's return, some days before or after it; the date itself counts, years before it do not. */
export function evaluateAnniversary(leaf: AnniversaryNode, facts: Facts, atMs: number): Timed {
  const zone = zoneOf(leaf.tz, facts)
  const date = dateOf(valueAt(facts.traits, leaf.path), zone)
  if (date === undefined) return constant(false)
  const today = localDate(atMs, zone)
  for (let year = Math.max(date.year, today.year - 2); year <= Math.max(date.year, today.year + 2); year++) {
    const day = returnOf(date, year, leaf)
    const from = startOfDay(day, zone)
    const to = startOfDay(normal(day.year, day.month, day.day + 1), zone)
    if (atMs < to) return between(from, to, atMs)
  }
  return constant(false)
}

function returnOf({ month, day }: LocalDate, year: number, leaf: AnniversaryNode): LocalDate {
  const { offset = 0, leapDay = 'feb28' } = leaf
  const isMissing = month === 2 && day === 29 && !isLeapYear(year) && leapDay === 'feb28'
  return normal(year, month, (isMissing ? 28 : day) + offset)
}

function dateOf(value: unknown, zone: string): LocalDate | undefined {
  const at = instantOf(value)
  if (at === undefined) return undefined
  return localDate(at, typeof value === 'string' && DATE.test(value) ? 'UTC' : zone)
}

const EARTH_RADIUS_M = 6_371_008.8

export function evaluateGeo(leaf: GeoNode, { traits }: Facts): Timed {
  const found = valueAt(traits, leaf.path)
  if (leaf.countries !== undefined)
    return constant(typeof found === 'string' && leaf.countries.includes(found.toUpperCase()))
  const place = placeOf(found)
  if (place === undefined) return constant(false)
  const { circle, box } = leaf
  if (circle !== undefined) return constant(metresBetween(place, circle) <= circle.metres)
  if (box === undefined) return constant(false)
  const isInLatitude = place.lat >= box.south && place.lat <= box.north
  // A box over the date line has its west end in the east.
  const isEast = place.lon >= box.west
  const isWest = place.lon <= box.east
  return constant(isInLatitude && (box.west <= box.east ? isEast && isWest : isEast || isWest))
}

type Place = { lat: number; lon: number }

function placeOf(found: unknown): Place | undefined {
  if (typeof found !== 'object' || found === null) return undefined
  const lat: unknown = Reflect.get(found, 'lat') ?? Reflect.get(found, 'latitude')
  const lon: unknown =
    Reflect.get(found, 'lon') ?? Reflect.get(found, 'lng') ?? Reflect.get(found, 'longitude')
  return typeof lat === 'number' && typeof lon === 'number' ? { lat, lon } : undefined
}

/** Great-circle distance on a sphere of the earth's mean radius (haversine). */
function metresBetween(a: Place, b: Place): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180
  const dLat = radians(b.lat - a.lat)
  const dLon = radians(b.lon - a.lon)
  const h =
    Math.sin(dLat / 2) ** 2 + Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * Math.sin(dLon / 2) ** 2
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)))
}

export function evaluateSample({ salt, from, to }: SampleNode, { profileId }: Facts): Timed {
  const place = sampleOf(salt, profileId)
  return constant(place >= from && place <= to)
}

/** 0 to 9999, the same for ever: the first 32 bits of md5('salt:profile') modulo 10,000, which Postgres can say as well. */
export function sampleOf(salt: string, profileId: number): number {
  return createHash('md5').update(`${salt}:${profileId}`).digest().readUInt32BE(0) % 10_000
}
