// A failing test is looked up by its title: no two tests have the same one.
import { parseSync, Visitor } from 'oxc-parser'
import { expect, test } from 'vitest'
import { sourceFiles } from '../support/source-tree.ts'

const TEST_FILES = sourceFiles().filter((file) => file.path.endsWith('.test.ts'))

/** Titles of `test('…')`, `it('…')` and their variants (`test.skipIf(…)('…')`), inside the titles of their `describe`. */
function titlesOf(path: string, text: string): string[] {
  const groups: { start: number; end: number; title: string }[] = []
  const tests: { start: number; title: string }[] = []
  const calls: { start: number; end: number; callee: string; title: string }[] = []
  new Visitor({
    CallExpression(node) {
      const [first] = node.arguments
      if (first?.type !== 'Literal' || typeof first.value !== 'string') return
      const callee = text.slice(node.callee.start, node.callee.end)
      calls.push({ start: node.start, end: node.end, callee, title: first.value })
    },
  }).visit(parseSync(path, text).program)
  for (const call of calls) {
    if (/^describe\b/.test(call.callee)) groups.push(call)
    // test.each runs one title with many rows: vitest tells them apart.
    else if (/^(test|it)\b/.test(call.callee) && !/\.for\b/.test(call.callee)) tests.push(call)
  }
  return tests.map((one) => {
    const around = groups.filter((group) => group.start < one.start && one.start < group.end)
    return [...around.map((group) => group.title), one.title].join(' > ')
  })
}

test('every test has a title of its own', () => {
  const seen = new Map<string, string>()
  const doubled: string[] = []
  for (const file of TEST_FILES) {
    for (const title of titlesOf(file.path, file.text)) {
      const other = seen.get(title)
      if (other !== undefined) doubled.push(`"${title}" in ${other} and ${file.path}`)
      seen.set(title, file.path)
    }
  }
  expect(seen.size).toBeGreaterThan(300)
  expect(doubled).toEqual([])
})

test('no test is left alone or switched off by hand', () => {
  const wrong = TEST_FILES.filter((file) =>
    /\b(test|it|describe)\.(only|skip|todo)\s*\(/.test(file.text),
  ).map((file) => file.path)
  expect(wrong).toEqual([])
})
