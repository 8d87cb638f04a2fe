// The project's own source files, read and parsed for the tests under tests/house: who imports what, and what stands in
// a file. Takes the files that git knows, so that scratch files of somebody at work do not count; all files without git.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync } from 'oxc-parser'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** `target`: a path inside the project, or the name of a package (`@google-cloud/pubsub`), or `node:fs`. */
export type Import = { target: string; isOurs: boolean; isType: boolean }
export type SourceFile = { path: string; text: string; imports: Import[] }

const SKIPPED = new Set(['node_modules', '.git', '.data', 'coverage'])

/** Every file of the project, as paths from its root. */
export function projectFiles(): string[] {
  try {
    const listed = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' })
    return listed.split('\0').filter((path) => path !== '' && isThere(path))
  } catch {
    return walk(ROOT).map((path) => relative(ROOT, path))
  }
}

export function isThere(path: string): boolean {
  return statSync(join(ROOT, path), { throwIfNoEntry: false }) !== undefined
}

export function readProjectFile(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? walk(path) : [path]
  })
}

/** All TypeScript files, parsed. */
export function sourceFiles(): SourceFile[] {
  return projectFiles()
    .filter((path) => path.endsWith('.ts') || path.endsWith('.tsx'))
    .map((path) => {
      const text = readProjectFile(path)
      return { path, text, imports: importsOf(path, text) }
    })
}

/** Static, dynamic and re-exporting imports of one file; `isType` when nothing of it is left at run time. */
export function importsOf(path: string, text: string): Import[] {
  const { module, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]?.message}`)
  const found = module.staticImports.map((one) =>
    toImport(
      path,
      one.moduleRequest.value,
      one.entries.length > 0 && one.entries.every((entry) => entry.isType),
    ),
  )
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest, isType } of entries) {
      if (moduleRequest !== null) found.push(toImport(path, moduleRequest.value, isType))
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const written = text.slice(moduleRequest.start, moduleRequest.end)
    const literal = /^['"`]([^'"`$]+)['"`]$/.exec(written)?.[1]
    if (literal !== undefined) found.push(toImport(path, literal, false))
  }
  return found
}

function toImport(from: string, specifier: string, isType: boolean): Import {
  if (specifier.startsWith('.')) {
    return { target: normalize(join(dirname(from), specifier)), isOurs: true, isType }
  }
  if (specifier.startsWith('node:')) return { target: specifier, isOurs: false, isType }
  const parts = specifier.split('/')
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier)
  return { target: name, isOurs: false, isType }
}

/** `workers/persist` and `cli/local` count as folders of their own; elsewhere the first name is the folder. */
export function folderOf(path: string): string {
  const [top = '', second = '', ...rest] = path.split('/')
  if (second === '') return '.'
  return (top === 'workers' || top === 'cli') && rest.length > 0 ? `${top}/${second}` : top
}

/** Folders whose code runs in production, tests and papers left out. */
export const PRODUCTION = [
  'api',
  'cache',
  'cli',
  'collector',
  'dashboard',
  'domain',
  'queues',
  'runtime',
  'schema',
  'store',
  'workers',
]

export function isProduction(path: string): boolean {
  return PRODUCTION.includes(path.split('/')[0] ?? '') && path.includes('/')
}
