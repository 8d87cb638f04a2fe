// The explanation of a segment as a tree to be read: each condition with a tick or a cross, what was found against what
// the rule wants, and until when. Pure; called by explain.ts.
import type { Explanation } from '../../api/segment-explain.ts'
import { exponentOf } from '../../domain/money.ts'
import type { RuleNode } from '../../schema/rule.ts'
import { counted, formatCount, paint, printable } from '../table.ts'
import { nodeWords } from './rule-words.ts'

type Condition = Explanation['conditions'][number]
type Group = Explanation['groups'][number]
type Shown = { rule: RuleNode | undefined; colours: boolean }

/** `rule` = the `match` of the version that was explained; without it conditions are named by their kind alone. */
export function explanationTree(explanation: Explanation, { rule, colours }: Shown): string {
  const groups = new Map(explanation.groups.map((group) => [group.path, group]))
  const conditions = new Map(explanation.conditions.map((condition) => [condition.path, condition]))

  const linesOf = (path: string, node: RuleNode | undefined, depth: number): string[] => {
    const indent = '  '.repeat(depth)
    const condition = conditions.get(path)
    if (condition !== undefined) {
      const found = printable(foundWords(condition, node))
      return [
        `${indent}${headOf(condition, node, colours)}`,
        ...(found === '' ? [] : [paint(`${indent}    ${found}`, 'dim', colours)]),
      ]
    }
    const group = groups.get(path)
    if (group === undefined) return []
    return [
      `${indent}${headOf(group, node, colours)}`,
      ...childrenOf(path, node).flatMap(([inner, child]) => linesOf(inner, child, depth + 1)),
    ]
  }

  /** Where the children of a group stand; more than there are: those are in neither map. */
  const childrenOf = (path: string, node: RuleNode | undefined): [string, RuleNode | undefined][] => {
    const of = node !== undefined && 'of' in node ? node.of : undefined
    if (groups.get(path)?.k === 'not') return [[`${path}.of`, Array.isArray(of) ? undefined : of]]
    const nodes = Array.isArray(of) ? of : []
    const isThere = (inner: string) => groups.has(inner) || conditions.has(inner)
    const children: [string, RuleNode | undefined][] = []
    for (let i = 0; isThere(`${path}.of[${i}]`); i++) children.push([`${path}.of[${i}]`, nodes[i]])
    return children
  }

  return `${linesOf('rule.match', rule, 0).join('\n')}\n`
}

function headOf(
  { k, holds, changesAt }: Condition | Group,
  node: RuleNode | undefined,
  colours: boolean,
): string {
  const mark = holds ? paint('✓', 'green', colours) : paint('✗', 'red', colours)
  const words = node?.k === k ? nodeWords(node) : k
  return `${mark} ${words}${changesAt === null ? '' : paint(`  until ${changesAt}`, 'dim', colours)}`
}

/** `found 1240.50 USD in 4 events, newest 2026-11-28T09:00:00.000Z; 9.50 USD missing`. */
function foundWords(condition: Condition, node: RuleNode | undefined): string {
  const { k, value, missing, events, newest } = condition
  // What these look at is named in the line above.
  if (k === 'segment' || k === 'list') return ''
  const [last] = newest
  const latest = last === undefined ? '' : `, newest ${last}`
  if (k === 'absence' || k === 'seq')
    return `found ${events === 0 ? 'no event' : counted(events, 'event')}${k === 'seq' ? ' of the first step' : ''}${latest}`
  const amount = (text: unknown) => amountWords(text, node)
  const isCount = node?.k === 'agg' && node.agg === 'count'
  const where = k === 'agg' && !isCount ? ` in ${counted(events, 'event')}` : ''
  const less = missing === null ? '' : `; ${amount(missing)} missing`
  return `found ${amount(value)}${where}${latest}${less}`
}

/** Revenue comes in minor units; the rule, and whoever reads this, mostly mean major ones. */
function amountWords(value: unknown, node: RuleNode | undefined): string {
  if (value === null || value === undefined) return 'nothing'
  if (typeof value !== 'string' || node?.k !== 'agg') return JSON.stringify(value)
  if (node.prop !== 'revenue' || node.agg === 'distinct')
    return Number.isSafeInteger(Number(value)) ? formatCount(Number(value)) : value
  const currency = node.currency ?? 'USD'
  return node.unit === 'minor'
    ? `${value} minor units of ${currency}`
    : `${major(value, exponentOf(currency))} ${currency}`
}

/** Decimal text with its point moved to the left: `124050` by 2 is `1240.50`. */
function major(text: string, digits: number): string {
  const [, sign = '', whole = '0', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? []
  const all = whole.padStart(digits + 1, '0')
  const behind = `${all.slice(all.length - digits)}${fraction}`
  return `${sign}${all.slice(0, all.length - digits)}${digits + fraction.length === 0 ? '' : `.${behind}`}`
}
