// A rule in words: one line a condition. Pure; used by `segments show` and `segments explain`.
import { parseRule } from '../../domain/segments/parse.ts'
import type { RuleNode } from '../../schema/rule.ts'
import { printable } from '../table.ts'
import { eventWords, operatorWords, valueWords } from './condition-words.ts'
import { durationWords, windowWords, zoneWords } from './time-words.ts'

type GroupNode = Extract<RuleNode, { k: 'all' | 'any' | 'atLeast' | 'not' }>
type LeafNode = Exclude<RuleNode, GroupNode>

/** The `match` of a rule that the API has; undefined when that is newer than this and has words we do not know. */
export function matchOf(rule: unknown): RuleNode | undefined {
  try {
    return parseRule(rule).match
  } catch {
    return undefined
  }
}

/** The whole tree, a line each, groups indenting what is in them. */
export function ruleText(node: RuleNode, depth = 0): string {
  const line = (text: string) => `${'  '.repeat(depth)}${depth === 0 ? '' : '- '}${text}`
  if (!isGroup(node)) return line(nodeWords(node))
  const of = node.k === 'not' ? [node.of] : node.of
  return [line(`${groupWords(node)}:`), ...of.map((child) => ruleText(child, depth + 1))].join('\n')
}

/** One node without what is in it. */
export function nodeWords(node: RuleNode): string {
  return isGroup(node) ? groupWords(node) : printable(leafWords(node))
}

function isGroup(node: RuleNode): node is GroupNode {
  return node.k === 'all' || node.k === 'any' || node.k === 'atLeast' || node.k === 'not'
}

function groupWords(node: GroupNode): string {
  switch (node.k) {
    case 'all':
      return 'all of these'
    case 'any':
      return 'any of these'
    case 'atLeast':
      return `at least ${node.n} of these`
    case 'not':
      return 'not this'
  }
}

function leafWords(node: LeafNode): string {
  switch (node.k) {
    case 'trait':
      return `trait ${node.path} ${operatorWords(node.op, node.value)}${node.orMissing ? ' or is missing' : ''}`
    case 'dwell':
      return `trait ${node.path} has been ${JSON.stringify(node.value)} for ${node.for}`
    case 'date':
      return `date ${node.path} ${dateWords(node.op, node.value)}`
    case 'anniversary':
      return `${offsetWords(node.offset ?? 0)} the anniversary of ${node.path}${zoneWords(node.tz)}`
    case 'geo':
      return `place ${node.path} ${placeWords(node)}`
    case 'sample':
      return `sample "${node.salt}" from ${node.from} to ${node.to} of 0 to 9999`
    case 'segment':
      return `in the segment ${node.segment}`
    case 'list':
      return `on the list ${node.list}`
    case 'computed':
      return `metric ${node.metric} ${operatorWords(node.op, node.value)}`
    case 'quantile':
      return `metric ${node.metric} from ${hundredthsOf(node.from)} to ${hundredthsOf(node.to)} % of those who have a value`
    case 'consent':
      return 'channel' in node
        ? `${node.channel}: ${node.state}`
        : `consent to ${node.category}: ${node.state}`
    case 'message':
      return `messages ${messageWords(node)} ${windowWords(node.window)}: ${operatorWords(node.op, node.value)}`
    case 'agg':
      return `${aggregateWords(node)} ${eventWords(node)} ${windowWords(node.window)}: ${operatorWords(node.op, node.value)}${unitWords(node)}`
    case 'pick':
      return `${node.prop} of the ${node.pick} ${eventWords(node)} ${windowWords(node.window)} ${operatorWords(node.op, node.value)}`
    case 'time':
      return `${node.pick} ${eventWords(node)} ${dateWords(node.op, node.ago)}`
    case 'absence':
      return `no ${eventWords(node)} ${windowWords(node.window)}${node.requireProfileAge ? ', known for as long' : ''}`
    case 'seq':
      return sequenceWords(node)
  }
}

function messageWords({ did, channel, campaign }: Extract<LeafNode, { k: 'message' }>): string {
  const on = channel === undefined ? '' : ` by ${channel}`
  return `${did}${on}${campaign === undefined ? '' : ` of the campaign ${campaign}`}`
}

function aggregateWords({ agg, prop, tz }: Extract<LeafNode, { k: 'agg' }>): string {
  switch (agg) {
    case 'count':
      return 'number of'
    case 'distinct':
      return `different ${prop} of`
    case 'sum':
      return `sum of ${prop} of`
    case 'avg':
      return `average ${prop} of`
    case 'min':
      return `lowest ${prop} of`
    case 'max':
      return `highest ${prop} of`
    case 'days':
      return `different days${zoneWords(tz)} with`
    case 'span':
      return 'days from the first to the last'
  }
}

function hundredthsOf(part: number): number {
  return Math.round(part * 100)
}

function unitWords({ agg, prop, unit, currency = 'USD' }: Extract<LeafNode, { k: 'agg' }>): string {
  if (prop !== 'revenue' || agg === 'distinct') return ''
  return unit === 'minor' ? ` minor units of ${currency}` : ` ${currency}`
}

function dateWords(op: string, value: string): string {
  switch (op) {
    case 'within':
      return `in the last ${durationWords(value)}`
    case 'olderThan':
      return `more than ${durationWords(value)} ago`
    case 'inNext':
      return `in the next ${durationWords(value)}`
    case 'furtherThan':
      return `more than ${durationWords(value)} ahead`
    default:
      return `${op} ${value}`
  }
}

function offsetWords(days: number): string {
  if (days === 0) return 'the day of'
  return `${Math.abs(days)} ${Math.abs(days) === 1 ? 'day' : 'days'} ${days < 0 ? 'before' : 'after'}`
}

function placeWords({ circle, box, countries }: Extract<LeafNode, { k: 'geo' }>): string {
  const parts = [
    ...(circle === undefined ? [] : [`within ${circle.metres} m of ${circle.lat}, ${circle.lon}`]),
    ...(box === undefined ? [] : [`between ${box.south}, ${box.west} and ${box.north}, ${box.east}`]),
    ...(countries === undefined ? [] : [`in ${countries.join(', ')}`]),
  ]
  return parts.join(', ')
}

function sequenceWords({ steps, none, anchor, min, window }: Extract<LeafNode, { k: 'seq' }>): string {
  const least = min === undefined ? '' : ` at least ${min} times`
  const which =
    anchor === undefined || anchor === 'any'
      ? ''
      : ` (the ${typeof anchor === 'object' ? `${anchor.kth}.` : anchor})`
  const taken = steps.map((step, i) => {
    const words = `${eventWords(step)}${i === 0 ? `${which}${least}` : ''}`
    return `${words}${withinWords(step)}`
  })
  const ending = none === undefined ? '' : `, and then no ${eventWords(none)}${withinWords(none)}`
  return `${taken.join(', then ')}${ending}; ${windowWords(window)}`
}

function withinWords({ within, same }: { within?: string; same?: string[] }): string {
  const soon = within === undefined ? '' : ` within ${durationWords(within)}`
  return `${soon}${same === undefined ? '' : ` with the same ${valueWords(same)}`}`
}
