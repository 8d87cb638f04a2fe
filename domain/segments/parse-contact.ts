// Reads the leaves of a rule that are about reaching somebody. Every refusal names the path of the fault.
import { CHANNELS } from '../../schema/jobs.ts'
import { type CategoryNode, COMPARISONS, type MessageNode, type ReachNode } from '../../schema/rule.ts'
import {
  ADDRESSED,
  CATEGORY_STATES,
  MESSAGE_DEEDS,
  MOST_MESSAGES,
  REACH_STATES,
} from '../../schema/rule-contact.ts'
import { channelsOf } from './contact-events.ts'
import { fault, type Json, knownKeys, oneOf, optional, textAt, wholeAt } from './parse-values.ts'
import { windowAt } from './parse-windows.ts'

export function consentAt(node: Json, path: string): ReachNode | CategoryNode {
  knownKeys(node, ['k', 'channel', 'category', 'state'], path)
  if ((node.channel === undefined) === (node.category === undefined))
    throw fault(path, 'expected one of channel, category')
  if (node.category !== undefined) {
    const category = textAt(node.category, `${path}.category`)
    return { k: 'consent', category, state: oneOf(node.state, CATEGORY_STATES, `${path}.state`) }
  }
  if (node.channel === 'webhook')
    throw fault(`${path}.channel`, `has no addresses of people; expected one of ${ADDRESSED.join(', ')}`)
  const channel = oneOf(node.channel, ADDRESSED, `${path}.channel`)
  return { k: 'consent', channel, state: oneOf(node.state, REACH_STATES, `${path}.state`) }
}

/** Whether we have a campaign of that name is looked at where the rule is stored or tried: store/segment-references.ts. */
export function messageAt(node: Json, path: string): MessageNode {
  knownKeys(node, ['k', 'did', 'channel', 'campaign', 'window', 'op', 'value'], path)
  const did = oneOf(node.did, MESSAGE_DEEDS, `${path}.did`)
  return {
    k: 'message',
    did,
    ...optional<Pick<Required<MessageNode>, 'channel' | 'campaign'>>(node, {
      channel: (one) => {
        const channel = oneOf(one, CHANNELS, `${path}.channel`)
        const known = channelsOf(did) ?? CHANNELS
        if (!known.includes(channel))
          throw fault(`${path}.channel`, `"${did}" is known of ${known.join(' and ')} only`)
        return channel
      },
      campaign: (one) => textAt(one, `${path}.campaign`),
    }),
    window: windowAt(node.window, `${path}.window`),
    op: oneOf(node.op, COMPARISONS, `${path}.op`),
    value: wholeAt(node.value, `${path}.value`, 0, MOST_MESSAGES),
  }
}
