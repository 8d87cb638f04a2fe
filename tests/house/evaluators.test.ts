// What decides who is in a segment exists three times over, so that each can be held against the others: the engine, SQL from
// scratch, and a naive evaluator for tests. It is worth something only as long as they share nothing but the language.
import { expect, test } from 'vitest'
import { sourceFiles } from '../support/source-tree.ts'

const NEXT = new Map(
  sourceFiles().map((file) => [file.path, file.imports.filter((one) => one.isOurs).map((one) => one.target)]),
)

/** All that the files are made of, types too. */
function madeOf(...paths: string[]): string[] {
  const found = new Set(paths)
  for (const one of found) for (const target of NEXT.get(one) ?? []) found.add(target)
  return [...found].sort()
}

const ENGINE = madeOf('domain/segments/version.ts', 'domain/segments/decide.ts')
const IN_SQL = madeOf('store/segment-sql/members.ts')
const NAIVE = madeOf('tests/support/segment-oracle.ts')
const RULE = ['jobs', 'metric', 'rule-contact', 'rule-parts', 'rule'].map((name) => `schema/${name}.ts`)

test('three evaluators share the type of a rule, and how an error is worded', () => {
  const shared = (a: string[], b: string[]) => a.filter((path) => b.includes(path))
  expect(shared(ENGINE, IN_SQL)).toEqual(['runtime/errors.ts', ...RULE])
  expect(shared(ENGINE, NAIVE)).toEqual(RULE)
  expect(shared(IN_SQL, NAIVE)).toEqual(RULE)
})

test('each of the three is all there: the leaves are in files of their own', () => {
  expect(ENGINE.filter((path) => path.startsWith('domain/segments/')).length).toBeGreaterThan(10)
  expect(IN_SQL.filter((path) => path.startsWith('store/segment-sql/')).length).toBeGreaterThan(7)
  expect(NAIVE).toContain('tests/support/oracle-time.ts')
})
