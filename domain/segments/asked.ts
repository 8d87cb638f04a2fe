// What live rules ask for: only who got one of these events has to be evaluated, and only by the rules that ask for it.
// Pure; read by persist, which then tells nobody of the others, and by the pass, which leaves them out.
import type { Channel } from '../../schema/jobs.ts'
import { isSent } from './contact-events.ts'
import { traitsOfPath } from './dwell.ts'
import type { Input } from './inputs.ts'
import type { Leaf, MetricLeaf, Plan } from './plan.ts'

/** An event name of a type; an empty one of another type than `track` means all events of that type. */
export type AskedEvent = { type: string; event: string }

/** Only identify changes traits. */
const STATES_TRAITS: AskedEvent = { type: 'identify', event: '' }

export function askedEvents(plans: Plan[]): AskedEvent[] {
  return plans.flatMap(askedBy)
}

export function askedBy(plan: Plan): AskedEvent[] {
  return needsTraits(plan) ? [...plan.inputs, STATES_TRAITS] : plan.inputs
}

export function needsTraits(plan: Plan): boolean {
  return plan.leaves.some(looksAtTraits) || plan.inputs.some(({ clock }) => typeof clock?.tz === 'object')
}

function looksAtTraits(leaf: Leaf | MetricLeaf): boolean {
  switch (leaf.k) {
    case 'trait':
    case 'dwell':
    case 'date':
    case 'anniversary':
    case 'geo':
      return true
    case 'computed':
    case 'quantile':
      return looksAtTraits(leaf.of)
    case 'agg':
      if (typeof leaf.tz === 'object') return true
      return leaf.window.k === 'calendar' && typeof leaf.window.tz === 'object'
    case 'pick':
    case 'absence':
    case 'seq':
    case 'message':
      return leaf.window.k === 'calendar' && typeof leaf.window.tz === 'object'
    case 'consent':
      return 'channel' in leaf
    case 'time':
    case 'elapsed':
    case 'sample':
    case 'segment':
    case 'list':
      return false
  }
}

/** What it takes to decide plans of somebody. */
export type Needs = {
  inputs: Input[]
  lists: string[]
  channels: Channel[]
  /** Of the inputs those that are messages which Millrace has sent itself. */
  sent: Input[]
  withTraits: boolean
  /** Traits of which is asked since when they are what they are. */
  sinceOf: string[]
}

export function needsOf(plans: Plan[]): Needs {
  return {
    inputs: plans.flatMap((plan) => plan.inputs),
    lists: askedLists(plans),
    channels: askedChannels(plans),
    sent: sentInputs(plans),
    withTraits: plans.some(needsTraits),
    sinceOf: askedSince(plans),
  }
}

/** Names of the traits of which the plans ask since when they are what they are, each once. */
function askedSince(plans: Plan[]): string[] {
  const leaves = plans.flatMap((plan) => plan.leaves)
  return [...new Set(leaves.flatMap((leaf) => (leaf.k === 'dwell' ? traitsOfPath(leaf.path) : [])))]
}

/** Slugs of the lists that the plans ask about, each once. */
export function askedLists(plans: Plan[]): string[] {
  const leaves = plans.flatMap((plan) => plan.leaves)
  return [...new Set(leaves.flatMap((leaf) => (leaf.k === 'list' ? [leaf.list] : [])))]
}

/** Channels of which the plans ask whether somebody may be written to, each once. */
function askedChannels(plans: Plan[]): Channel[] {
  const leaves = plans.flatMap((plan) => plan.leaves)
  return [
    ...new Set(leaves.flatMap((leaf) => (leaf.k === 'consent' && 'channel' in leaf ? [leaf.channel] : []))),
  ]
}

/** Inputs of the plans that are messages which Millrace has sent itself. */
export function sentInputs(plans: Plan[]): Input[] {
  return plans.flatMap((plan) => plan.inputs.filter(isSent))
}
