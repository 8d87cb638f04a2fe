// What a stored version of a segment is made of: the checked rule and a hash that says whether two rules are the same. Its
// plan is made where the metrics that it names are known: store/segments.ts. Called by whoever creates or edits segments. Pure.
import { createHash } from 'node:crypto'
import type { Rule } from '../../schema/rule.ts'
import { parseRule } from './parse.ts'

export type CheckedRule = { rule: Rule; ruleHash: string }

/** Throws `invalid_rule` with the path of the fault. The hash does not depend on the order of members. */
export function checkRule(input: unknown): CheckedRule {
  const rule = parseRule(input)
  const ruleHash = createHash('sha256').update(JSON.stringify(rule)).digest('hex')
  return { rule, ruleHash }
}
