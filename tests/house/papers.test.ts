// The papers say what is there: the page of the configuration, links, commands, keys, tables and pools that they name.
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'
import { COMMANDS, isCommand } from '../../cli/help.ts'
import { RUNNABLE } from '../../cli/run-process.ts'
import { CONFIG_TABLE } from '../../runtime/config.ts'
import { DEPLOYMENT_KEYS } from '../../runtime/config-keys/deployment.ts'
import { EDGE_KEYS } from '../../runtime/config-keys/edge.ts'
import { OUTLET_KEYS } from '../../runtime/config-keys/outlets.ts'
import { REGISTRY } from '../../workers/registry.ts'
import { configurationPage } from '../support/configuration-page.ts'
import { isThere, projectFiles, readProjectFile } from '../support/source-tree.ts'

const PAPERS = projectFiles()
  .filter((path) => path.endsWith('.md'))
  .map((path) => ({ path, text: readProjectFile(path) }))
const readme = readProjectFile('README.md')
const packageFile = JSON.parse(readProjectFile('package.json'))

function complaints(pick: (text: string) => string[], isRight: (name: string) => boolean): string[] {
  return PAPERS.flatMap(({ path, text }) =>
    pick(text)
      .filter((name) => !isRight(name))
      .map((name) => `${path}: ${name}`),
  )
}

test('docs/CONFIGURATION.md is the table of keys', async () => {
  const page = configurationPage([
    { title: 'The deployment and its pipeline', keys: DEPLOYMENT_KEYS },
    { title: 'The write edge, and how long rows stay', keys: EDGE_KEYS },
    { title: 'Messages and the archive', keys: OUTLET_KEYS },
  ])
  for (const entry of Object.values(CONFIG_TABLE)) expect(page).toContain(`\`${entry.env}\``)
  await expect(page).toMatchFileSnapshot('../../docs/CONFIGURATION.md')
})

test('the papers of the house are there', () => {
  const expected = [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'CHANGELOG.md',
    'LICENSE',
    'docs/DATABASE.md',
    'docs/DEPLOYMENT.md',
    'k8s/README.md',
    'docs/adr/0001-queues.md',
    'docs/adr/0002-exactly-once-key.md',
    'docs/adr/0003-durability.md',
    'docs/adr/0004-sharding.md',
  ]
  expect(expected.filter((path) => !isThere(path))).toEqual([])
})

test('every link of a paper leads somewhere', () => {
  const broken = PAPERS.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => !isThere(normalize(join(dirname(path), target))))
      .map((target) => `${path}: ${target}`),
  )
  expect(broken).toEqual([])
})

test('every file of ours that a paper names is there', () => {
  const folder =
    '(?:api|bin|cache|cli|collector|dashboard|domain|queues|runtime|schema|store|workers|tests|docs)'
  const pattern = new RegExp(`\`(${folder}/[\\w./-]*)\``, 'g')
  expect(complaints((text) => [...text.matchAll(pattern)].map((match) => match[1] ?? ''), isThere)).toEqual(
    [],
  )
})

test('every command that a paper names exists', () => {
  const named = (text: string) =>
    [...text.matchAll(/(?:npx millrace|`millrace|run --rm migrate) ([a-z]+)/g)].map((match) => match[1] ?? '')
  expect(complaints(named, isCommand)).toEqual([])
  const scripts = (text: string) => [...text.matchAll(/npm run ([a-z]+)/g)].map((match) => match[1] ?? '')
  expect(complaints(scripts, (name) => name in packageFile.scripts)).toEqual([])
})

test('every key that a paper names is in the configuration', () => {
  const known = new Set<string>(Object.values(CONFIG_TABLE).map((entry) => entry.env))
  const named = (text: string) => text.match(/MILLRACE_[A-Z0-9_]*[A-Z0-9]\b(?!_)/g) ?? []
  expect(complaints(named, (name) => known.has(name))).toEqual([])
})

test('README has every pool in its table, and what can be started beside them', () => {
  const rows = [...readme.matchAll(/^\| ([a-z]+) \| /gm)].map((match) => match[1])
  expect(rows.filter((name) => RUNNABLE.includes(name ?? ''))).toEqual(REGISTRY.map((row) => row.name))
  for (const name of ['api', 'dashboard', 'exporter']) expect(readme).toContain(`\`${name}\``)
})

test('docs/DATABASE.md has a row for every table of the schema', () => {
  const tables = [
    ...readProjectFile('schema/schema.sql').matchAll(/^table (\w+)|^create table (?:\w+\.)?(\w+)/gim),
  ]
    .map((match) => match[1] ?? match[2] ?? '')
    .filter((name) => !/_b\d\d(_\d+)?$/.test(name))
  const described = [...readProjectFile('docs/DATABASE.md').matchAll(/^\| `(\w+)` \|/gm)].map(
    (match) => match[1],
  )
  expect(tables.length).toBeGreaterThan(20)
  expect([...new Set(tables)].sort()).toEqual(described.sort())
})

test('the changelog begins with what is being worked on or with this version', () => {
  const first = /^## (.+)$/m.exec(readProjectFile('CHANGELOG.md'))?.[1] ?? ''
  expect(first === 'Unreleased' || first.startsWith(packageFile.version)).toBe(true)
  expect(COMMANDS.length).toBeGreaterThan(10)
})
