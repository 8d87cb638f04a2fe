// Leaves on reaching somebody: whether they may be written to, what they consented to, and what became of messages. Pure.
import type { ReachNode } from '../../schema/rule.ts'
import type { CategoryState, ReachState } from '../../schema/rule-contact.ts'
import { addressOf } from '../addresses.ts'
import { evaluateAggregate } from './aggregates.ts'
import { isOfCampaign, isSent } from './contact-events.ts'
import type { Facts, Occurrence } from './facts.ts'
import type { AggLeaf, CategoryLeaf, MessageLeaf } from './plan.ts'
import { constant, NEVER, type Timed } from './timed.ts'

export function evaluateConsent(leaf: ReachNode | CategoryLeaf, facts: Facts, atMs: number): Timed {
  if ('channel' in leaf) return constant(reachOf(leaf, facts) === leaf.state)
  const holds = categoryAt(leaf, facts, atMs) === leaf.state
  const turns = statementsOf(leaf, facts).find(
    ({ time }) => time > atMs && (categoryAt(leaf, facts, time) === leaf.state) !== holds,
  )
  return { holds, until: turns?.time ?? NEVER }
}

/** Of the address that the channel would write to. Nobody is asked to opt in: who has one is subscribed until it is suppressed. */
export function reachOf({ channel }: ReachNode, { traits, suppressed }: Facts): ReachState {
  if (addressOf(channel, traits) === undefined) return 'none'
  const reason = suppressed?.get(channel)
  if (reason === undefined) return 'subscribed'
  return reason === 'unsubscribed' ? 'unsubscribed' : 'suppressed'
}

/** What the newest event that speaks of the category says; of several at that instant a refusal counts. */
export function categoryAt(leaf: CategoryLeaf, facts: Facts, atMs: number): CategoryState {
  const said = statementsOf(leaf, facts).filter(({ time }) => time <= atMs)
  const newest = said.at(-1)
  if (newest === undefined) return 'unknown'
  return said.some(({ time, granted }) => time === newest.time && !granted) ? 'denied' : 'granted'
}

function statementsOf(
  { category, inputs }: CategoryLeaf,
  facts: Facts,
): { time: number; granted: boolean }[] {
  return together(inputs, facts).flatMap(({ time, context }) => {
    const preferences = context?.consent
    if (typeof preferences !== 'object' || preferences === null) return []
    const granted: unknown = Object.hasOwn(preferences, category)
      ? Reflect.get(preferences, category)
      : undefined
    return typeof granted === 'boolean' ? [{ time, granted }] : []
  })
}

export function evaluateMessage(leaf: MessageLeaf, facts: Facts, atMs: number): Timed {
  return evaluateAggregate(messageCount(leaf, facts), deedsAt(leaf, facts), atMs)
}

/** The leaf as a count over the input that `deedsAt` adds to `facts`. */
export function messageCount({ window, op, value }: MessageLeaf, facts: Facts): AggLeaf {
  return {
    k: 'agg',
    input: facts.inputs.length,
    window,
    agg: 'count',
    prop: '',
    currency: '',
    op,
    value: String(value),
  }
}

/** The facts with one more input: the events that are such deeds, of the campaign and channel. */
export function deedsAt({ inputs, campaign, channel }: MessageLeaf, facts: Facts): Facts {
  const events = together(inputs, facts).filter(
    (event) =>
      (campaign === undefined || isOfCampaign(campaign, event)) &&
      (channel === undefined || !isSent(event) || event.props.channel === channel),
  )
  return { ...facts, inputs: [...facts.inputs, events] }
}

/** Events of several inputs, ascending by time. */
function together(inputs: number[], facts: Facts): Occurrence[] {
  const found = inputs.map((input) => facts.inputs[input] ?? []).filter((events) => events.length > 0)
  const [only] = found
  if (found.length <= 1) return only ?? []
  return found.flat().sort((a, b) => a.time - b.time)
}
