// Reads the leaves of a rule that are about what is known of a person. Every refusal names the path of the fault.
import {
  type AnniversaryNode,
  type DateNode,
  type DwellNode,
  type GeoNode,
  type ListNode,
  RULE_LIMITS,
  type SampleNode,
  SCALAR_TYPES,
  type SegmentNode,
  type TraitNode,
} from '../../schema/rule.ts'
import {
  booleanAt,
  conditionAt,
  durationAt,
  fault,
  instantAt,
  type Json,
  knownKeys,
  listAt,
  numberAt,
  objectAt,
  oneOf,
  optional,
  scalarAt,
  textAt,
  wholeAt,
  zoneAt,
} from './parse-values.ts'

export function traitAt(node: Json, path: string): TraitNode {
  knownKeys(node, ['k', 'path', 'op', 'value', 'type', 'orMissing'], path)
  const condition = conditionAt(node, path)
  if (node.orMissing !== undefined && condition.op !== 'ne' && condition.op !== 'noneOf')
    throw fault(`${path}.orMissing`, 'goes with "ne" and "noneOf" only')
  return {
    k: 'trait',
    path: textAt(node.path, `${path}.path`),
    ...condition,
    ...optional<Pick<Required<TraitNode>, 'type' | 'orMissing'>>(node, {
      type: (one) => typeAt(one, condition.value, path),
      orMissing: (one) => booleanAt(one, `${path}.orMissing`),
    }),
  }
}

/** Says what the value is, which then has to be that. */
function typeAt(input: unknown, value: TraitNode['value'], path: string): (typeof SCALAR_TYPES)[number] {
  const type = oneOf(input, SCALAR_TYPES, `${path}.type`)
  for (const one of value === undefined ? [] : [value].flat())
    if (typeof one !== type) throw fault(`${path}.value`, `expected a ${type}, as type says`)
  return type
}

export function dwellAt(node: Json, path: string): DwellNode {
  knownKeys(node, ['k', 'path', 'value', 'type', 'for'], path)
  const value = scalarAt(node.value, `${path}.value`)
  return {
    k: 'dwell',
    path: textAt(node.path, `${path}.path`),
    value,
    for: durationAt(node.for, `${path}.for`),
    ...optional<Pick<Required<DwellNode>, 'type'>>(node, { type: (one) => typeAt(one, value, path) }),
  }
}

export function dateAt(node: Json, path: string): DateNode {
  knownKeys(node, ['k', 'path', 'op', 'value'], path)
  const op = oneOf(
    node.op,
    ['within', 'olderThan', 'inNext', 'furtherThan', 'before', 'after'] as const,
    `${path}.op`,
  )
  const isInstant = op === 'before' || op === 'after'
  const value = (isInstant ? instantAt : durationAt)(node.value, `${path}.value`)
  return { k: 'date', path: textAt(node.path, `${path}.path`), op, value }
}

export function anniversaryAt(node: Json, path: string): AnniversaryNode {
  knownKeys(node, ['k', 'path', 'offset', 'tz', 'leapDay'], path)
  return {
    k: 'anniversary',
    path: textAt(node.path, `${path}.path`),
    ...optional<Omit<Required<AnniversaryNode>, 'k' | 'path'>>(node, {
      offset: (one) => wholeAt(one, `${path}.offset`, -365, 365),
      tz: (one) => zoneAt(one, `${path}.tz`),
      leapDay: (one) => oneOf(one, ['feb28', 'mar1'] as const, `${path}.leapDay`),
    }),
  }
}

export function geoAt(node: Json, path: string): GeoNode {
  knownKeys(node, ['k', 'path', 'circle', 'box', 'countries'], path)
  const found = (['circle', 'box', 'countries'] as const).filter((key) => node[key] !== undefined)
  if (found.length !== 1) throw fault(path, 'expected one of circle, box, countries')
  const latitude = (one: unknown, at: string) => numberAt(one, at, -90, 90)
  const longitude = (one: unknown, at: string) => numberAt(one, at, -180, 180)
  return {
    k: 'geo',
    path: textAt(node.path, `${path}.path`),
    ...optional<Omit<Required<GeoNode>, 'k' | 'path'>>(node, {
      circle: (input) => {
        const at = `${path}.circle`
        const circle = objectAt(input, at)
        knownKeys(circle, ['lat', 'lon', 'metres'], at)
        return {
          lat: latitude(circle.lat, `${at}.lat`),
          lon: longitude(circle.lon, `${at}.lon`),
          metres: numberAt(circle.metres, `${at}.metres`, 0, 20_100_000),
        }
      },
      box: (input) => {
        const at = `${path}.box`
        const box = objectAt(input, at)
        knownKeys(box, ['south', 'west', 'north', 'east'], at)
        const south = latitude(box.south, `${at}.south`)
        const north = latitude(box.north, `${at}.north`)
        if (south > north) throw fault(`${at}.north`, 'must not be south of south')
        return {
          south,
          west: longitude(box.west, `${at}.west`),
          north,
          east: longitude(box.east, `${at}.east`),
        }
      },
      countries: (input) =>
        listAt(input, `${path}.countries`, RULE_LIMITS.listItems, (one, at) => {
          const code = textAt(one, at)
          if (!/^[A-Z]{2}$/.test(code)) throw fault(at, 'expected an ISO 3166 code such as "JP"')
          return code
        }),
    }),
  }
}

export function sampleAt(node: Json, path: string): SampleNode {
  knownKeys(node, ['k', 'salt', 'from', 'to'], path)
  const from = wholeAt(node.from, `${path}.from`, 0, 9999)
  return {
    k: 'sample',
    salt: textAt(node.salt, `${path}.salt`),
    from,
    to: wholeAt(node.to, `${path}.to`, from, 9999),
  }
}

const SLUG = /^[a-z0-9][a-z0-9_-]{0,62}$/

export function segmentAt(node: Json, path: string): SegmentNode {
  knownKeys(node, ['k', 'segment'], path)
  const segment = textAt(node.segment, `${path}.segment`)
  if (!SLUG.test(segment)) throw fault(`${path}.segment`, 'expected the slug of a segment')
  return { k: 'segment', segment }
}

/** Whether there is such a list is looked at where the rule is stored or tried: store/segment-references.ts. */
export function listNodeAt(node: Json, path: string): ListNode {
  knownKeys(node, ['k', 'list'], path)
  const list = textAt(node.list, `${path}.list`)
  if (!SLUG.test(list)) throw fault(`${path}.list`, 'expected the slug of a list')
  return { k: 'list', list }
}
