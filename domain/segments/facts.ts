// What is known of a person when a plan is asked: traits, lists, and the events that its inputs name. Read by
// store/histories.ts and store/list-members.ts, looked at by the leaves. Pure types, and how an input picks its own events.
import type { Channel } from '../../schema/jobs.ts'
import { onClock } from './clock.ts'
import { conditionHolds } from './conditions.ts'
import type { ContextPart } from './contact-events.ts'
import type { Input } from './inputs.ts'
import type { Timed } from './timed.ts'

/** One event as leaves see it. */
export type Occurrence = {
  type: string
  name: string
  /** ms since the epoch. */
  time: number
  /** The purchase value in minor units of its currency. */
  value: number | null
  currency: string | null
  /** Those properties that some input asks for. */
  props: Record<string, unknown>
  /** Those parts of its context that some input asks for. */
  context?: Partial<Record<ContextPart, unknown>>
}

/** By channel, why the address that the person has there is suppressed. */
export type Suppressed = ReadonlyMap<Channel, string>

export type Person = {
  profileId: number
  traits: Record<string, unknown>
  /** Since when (ms) traits are what they are; those that somebody asks about. */
  traitSince: Record<string, number>
  /** First event, ms. */
  firstMs: number
  /** Slugs of those lists, of all that are asked about, that have one of the person's user ids. */
  lists: ReadonlySet<string>
  /** Absent = no rule asks, or no address is suppressed. */
  suppressed?: Suppressed | undefined
}

/** A person as one plan looks at them. */
export type Facts = Person & {
  /** By input of the plan, ascending by time; with events dated ahead. */
  inputs: Occurrence[][]
  /** Whether they are in another segment at an instant. */
  segment(slug: string, atMs: number): Timed
}

/** The events of somebody by type and name, and of every type but `track` all of them under the empty name. */
export type EventIndex = Map<string, Map<string, Occurrence[]>>

export function indexEvents(events: Occurrence[]): EventIndex {
  const index: EventIndex = new Map()
  const add = (name: string, event: Occurrence) => {
    const names = index.get(event.type)
    const known = names?.get(name)
    if (names === undefined) index.set(event.type, new Map([[name, [event]]]))
    else if (known === undefined) names.set(name, [event])
    else known.push(event)
  }
  for (const event of events) {
    add(event.name, event)
    if (event.type !== 'track' && event.name !== '') add('', event)
  }
  return index
}

const NONE: Occurrence[] = []

/** The events of each input, in the order they have in the index. */
export function pickInputs(
  inputs: Input[],
  index: EventIndex,
  traits: Record<string, unknown>,
): Occurrence[][] {
  return inputs.map(({ type, event, where, clock }) => {
    const all = index.get(type)?.get(event) ?? NONE
    if (all.length === 0 || (where.length === 0 && clock === undefined)) return all
    const isOn = clock === undefined ? undefined : onClock(clock, traits)
    const named = isOn === undefined ? all : all.filter(({ time }) => isOn(time))
    if (where.length === 0) return named
    return named.filter(({ props }) => where.every((filter) => conditionHolds(props[filter.prop], filter)))
  })
}
