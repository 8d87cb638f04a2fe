// What a stored version of a segment is made of: the checked rule, its plan and a hash that says whether two rules are
// the same. Called by whoever creates or edits segments. Pure.
import { createHash } from 'node:crypto'
import type { Rule } from '../../schema/rule.ts'
import { parseRule } from './parse.ts'
import { compileRule, type Plan } from './plan.ts'

export type CheckedRule = { rule: Rule; plan: Plan; ruleHash: string }

/** Throws `invalid_rule` with the path of the fault. The hash does not depend on the order of members. */
export function checkRule(input: unknown): CheckedRule {
  const rule = parseRule(input)
  const ruleHash = createHash('sha256').update(JSON.stringify(rule)).digest('hex')
  return { rule, plan: compileRule(rule), ruleHash }
}
