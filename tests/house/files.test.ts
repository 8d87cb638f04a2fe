// What every file keeps to: size, a head comment, one reader of the environment, no escape from the types.
import { parseSync, Visitor } from 'oxc-parser'
import { expect, test } from 'vitest'
import { isProduction, sourceFiles } from '../support/source-tree.ts'

const FILES = sourceFiles()
const production = FILES.filter((file) => isProduction(file.path))

/** The program's edges: they hand the environment to `readConfig`, nothing else looks at it. */
const MAY_TOUCH_ENV = /^(runtime\/config\.ts|cli\/)/

test('no file is longer than 300 lines', () => {
  const long = FILES.map((file) => ({ path: file.path, lines: file.text.split('\n').length - 1 }))
    .filter((file) => file.lines > 300)
    .map((file) => `${file.path} has ${file.lines} lines`)
  expect(long).toEqual([])
})

test('every file opens with a comment that says what it is', () => {
  const silent = FILES.filter((file) => !file.text.replace(/^#!.*\n/, '').startsWith('//')).map(
    (file) => file.path,
  )
  expect(silent).toEqual([])
})

test('the environment is read in one place', () => {
  const readers = production
    .filter((file) => !MAY_TOUCH_ENV.test(file.path))
    .filter((file) =>
      /\bprocess\s*\.\s*env\b|\bprocess\[|\benv\b[^'"`]*\bfrom 'node:process'/.test(file.text),
    )
    .map((file) => file.path)
  expect(readers).toEqual([])
})

test('nothing outside cli/ prints to the console', () => {
  const printers = production
    .filter((file) => !file.path.startsWith('cli/'))
    // The debugger's page runs in a browser and is no TypeScript.
    .filter((file) => /\bconsole\s*\.\s*\w+\s*\(/.test(file.text))
    .map((file) => file.path)
  expect(printers).toEqual([])
})

test('no any, no non-null assertion and no silenced check in production code', () => {
  const wrong = production.flatMap((file) => {
    const { program, comments } = parseSync(file.path, file.text)
    const found: string[] = []
    const lineOf = (offset: number) => file.text.slice(0, offset).split('\n').length
    new Visitor({
      TSAnyKeyword: (node) => found.push(`${file.path}:${lineOf(node.start)} any`),
      TSNonNullExpression: (node) => found.push(`${file.path}:${lineOf(node.start)} non-null !`),
    }).visit(program)
    for (const comment of comments) {
      if (/@ts-(ignore|nocheck|expect-error)/.test(comment.value)) {
        found.push(`${file.path}:${lineOf(comment.start)} ${comment.value.trim()}`)
      }
    }
    return found
  })
  expect(wrong).toEqual([])
})

test('syntax is erasable: no enum, no namespace, no parameter property, no decorator', () => {
  const wrong = FILES.flatMap((file) => {
    const found: string[] = []
    new Visitor({
      TSEnumDeclaration: () => found.push(`${file.path} enum`),
      TSModuleDeclaration: (node) => {
        if (!node.declare) found.push(`${file.path} namespace`)
      },
      TSParameterProperty: () => found.push(`${file.path} parameter property`),
      Decorator: () => found.push(`${file.path} decorator`),
    }).visit(parseSync(file.path, file.text).program)
    return found
  })
  expect(wrong).toEqual([])
})

test('no barrel, no utils, no types.ts, no common: a file is named by its duty', () => {
  const wrong = FILES.map((file) => file.path).filter((path) =>
    /(^|\/)(utils?|helpers?|common|misc|shared|lib)(\/|\.ts$)|(^|\/)(index|types)\.ts$/.test(path),
  )
  expect(wrong).toEqual([])
})

test('no file names the machine it was written on or a registry', () => {
  const wrong = FILES.filter((file) =>
    /(^|['"`\s(])\/work\/|registry\.npmjs\.org|_authToken/m.test(
      file.path === 'tests/house/files.test.ts' ? '' : file.text,
    ),
  ).map((file) => file.path)
  expect(wrong).toEqual([])
})
