// Every example of docs/SEGMENTS.md is a rule, and every kind of condition has one.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkRule } from '../../../domain/segments/version.ts'
import { RuleSchema } from '../../../schema/rule.ts'
import { ROOT } from '../../support/source-tree.ts'

const page = readFileSync(join(ROOT, 'docs/SEGMENTS.md'), 'utf8')
const examples = [...page.matchAll(/```json\n([^`]+)```/g)].map((match) => match[1] ?? '')
const windows = [...page.matchAll(/\| `(\{"k":[^`]+\})` \|/g)].map((match) => match[1] ?? '')

test.each(examples)('the example %s', (example) => {
  expect(checkRule({ match: JSON.parse(example) }).rule.match).toEqual(JSON.parse(example))
})

test.each(windows)('the window %s', (window) => {
  const count = { k: 'agg', event: 'x', agg: 'count', op: 'gte', value: 1, window: JSON.parse(window) }
  expect(() => checkRule({ match: count })).not.toThrow()
})

test('every kind of condition and window of the language is shown', () => {
  const kinds = [...JSON.stringify(RuleSchema).matchAll(/"k":\{"type":"string","const":"(\w+)"\}/g)].map(
    (match) => match[1],
  )
  expect(kinds.length).toBeGreaterThan(15)
  for (const kind of new Set(kinds))
    expect(page, `${kind}`).toMatch(new RegExp(`"k": ?"${kind}"|\`${kind}\``))
})
