// Who may import whom: the arrows of ARCHITECTURE.md, read from the source of every file.
import { expect, test } from 'vitest'
import { folderOf, isProduction, type SourceFile, sourceFiles } from '../support/source-tree.ts'

const FILES = sourceFiles()
const production = FILES.filter((file) => isProduction(file.path))

/** What a folder may import beside itself. `cli` may import all and is checked from the other side. */
const MAY_IMPORT: Record<string, string[]> = {
  domain: ['runtime', 'schema'],
  runtime: ['domain', 'schema'],
  schema: ['domain', 'runtime'],
  store: ['domain', 'runtime', 'schema'],
  cache: ['domain', 'runtime', 'schema'],
  queues: ['domain', 'runtime', 'schema'],
  collector: ['queues', 'store', 'cache', 'domain', 'runtime', 'schema'],
  api: ['queues', 'store', 'cache', 'domain', 'runtime', 'schema'],
  dashboard: ['queues', 'store', 'cache', 'domain', 'runtime', 'schema'],
  workers: ['queues', 'store', 'cache', 'domain', 'runtime', 'schema'],
}

/** Where a library may be loaded: a folder, or one file. Types are free everywhere. */
const LIBRARY_PLACES: Record<string, string[]> = {
  // The benchmark's baseline is a pipeline of its own, and not part of ours.
  'bullmq-otel': ['queues/'],
  '@opentelemetry/sdk-trace-node': ['queues/'],
  bullmq: ['queues/', 'workers/run.ts', 'dashboard/', 'cli/bench/naive-process.ts'],
  '@bull-board/api': ['dashboard/'],
  '@bull-board/fastify': ['dashboard/'],
  ioredis: ['queues/', 'cache/', 'workers/run.ts', 'cli/bench/naive-process.ts'],
  postgres: ['store/', 'schema/', 'cli/local/'],
  pg: ['store/', 'schema/', 'cli/local/', 'cli/bench/naive-process.ts'],
}

function ownImports(file: SourceFile) {
  return file.imports.filter((one) => one.isOurs)
}

test('every folder imports only what stands below it', () => {
  const wrong = production.flatMap((file) => {
    const from = file.path.split('/')[0] ?? ''
    const allowed = MAY_IMPORT[from]
    if (allowed === undefined) return []
    return ownImports(file)
      .map((one) => one.target)
      .filter((target) => target.split('/')[0] !== from && !allowed.includes(target.split('/')[0] ?? ''))
      .map((target) => `${file.path} imports ${target}`)
  })
  expect(production.length).toBeGreaterThan(150)
  expect(wrong).toEqual([])
})

test('one pool never imports another: they meet only through queues', () => {
  const wrong = production
    .filter((file) => /^workers\/[^/]+\//.test(file.path))
    .flatMap((file) =>
      ownImports(file)
        .filter(({ target }) => target.startsWith('workers/'))
        .filter(({ target }) => ![folderOf(file.path), 'workers'].includes(folderOf(target)))
        .map(({ target }) => `${file.path} imports ${target}`),
    )
  expect(wrong).toEqual([])
})

test('of the shared files of workers/, only the registry names pools', () => {
  const wrong = production
    .filter((file) => folderOf(file.path) === 'workers' && file.path !== 'workers/registry.ts')
    .flatMap((file) =>
      ownImports(file)
        .filter(({ target }) => target.startsWith('workers/') && folderOf(target) !== 'workers')
        .map(({ target }) => `${file.path} imports ${target}`),
    )
  expect(wrong).toEqual([])
})

test('nothing in production imports cli, tests or load tests', () => {
  const wrong = production.flatMap((file) =>
    ownImports(file)
      .map((one) => one.target)
      .filter(
        (target) =>
          /^(tests|loadtest)\//.test(target) || (target.startsWith('cli/') && folderOfTop(file) !== 'cli'),
      )
      .map((target) => `${file.path} imports ${target}`),
  )
  expect(wrong).toEqual([])
})

function folderOfTop(file: SourceFile): string {
  return file.path.split('/')[0] ?? ''
}

test('queue, Redis and Postgres libraries are loaded only in their own places', () => {
  const wrong = production.flatMap((file) =>
    file.imports
      .filter((one) => !one.isType)
      .filter((one) => LIBRARY_PLACES[one.target]?.some((place) => file.path.startsWith(place)) === false)
      .map((one) => `${file.path} imports ${one.target}`),
  )
  expect(wrong).toEqual([])
})

test('types of BullMQ stay where BullMQ is', () => {
  const wrong = production
    .filter((file) => file.imports.some((one) => one.target === 'bullmq'))
    .map((file) => file.path)
    .filter((path) => !LIBRARY_PLACES.bullmq?.some((place) => path.startsWith(place)))
  expect(wrong).toEqual([])
})

test('the pure rules of domain/ do no I/O: no node modules but crypto and net', () => {
  const allowed = ['node:crypto', 'node:net', 'node:util']
  const wrong = production
    .filter((file) => file.path.startsWith('domain/'))
    .flatMap((file) =>
      file.imports
        .filter((one) => one.target.startsWith('node:') && !allowed.includes(one.target))
        .map((one) => `${file.path} imports ${one.target}`),
    )
  expect(wrong).toEqual([])
})

test('no file imports itself by a detour', () => {
  const next = new Map(FILES.map((file) => [file.path, ownImports(file).map((one) => one.target)]))
  expect(findCycle(next)).toBeUndefined()
})

test('every import leads to a file of the project', () => {
  const there = new Set(FILES.map((file) => file.path))
  const wrong = FILES.flatMap((file) =>
    ownImports(file)
      .map((one) => one.target)
      .filter((target) => target.endsWith('.ts') && !there.has(target))
      .map((target) => `${file.path} imports ${target}, which is not committed`),
  )
  expect(wrong).toEqual([])
})

/** The first cycle met, as a path that ends where it begins; undefined when there is none. */
function findCycle(next: Map<string, string[]>): string[] | undefined {
  const done = new Set<string>()
  const visit = (path: string, trail: string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return undefined
    for (const target of next.get(path) ?? []) {
      const cycle = visit(target, [...trail, path])
      if (cycle !== undefined) return cycle
    }
    done.add(path)
    return undefined
  }
  for (const path of next.keys()) {
    const cycle = visit(path, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}

test('the search for cycles finds one when there is one', () => {
  expect(
    findCycle(
      new Map([
        ['a', ['b']],
        ['b', ['c']],
        ['c', ['a']],
      ]),
    ),
  ).toEqual(['a', 'b', 'c', 'a'])
})
