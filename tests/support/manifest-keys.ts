// Which keys a Kubernetes object may have, read from the type declarations of kubernetes-models: its validators check types
// and required fields but let unknown keys pass, as an API server would silently drop them.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { parseSync, Visitor } from 'oxc-parser'
import type { Json, Manifest } from './manifests.ts'

const require = createRequire(import.meta.url)

/** What a type of the declarations stands for, as far as keys go. `anything`: a scalar, or a map with free keys. */
type Shape =
  | { is: 'object'; fields: Map<string, Shape>; free: Shape | undefined }
  | { is: 'list'; of: Shape }
  | { is: 'named'; file: string; name: string }
  | { is: 'anything' }

type Declarations = Map<string, Shape>
type Node = { type: string; start: number; end: number; [key: string]: unknown }

const packageRoot = (name: string) => dirname(require.resolve(`${name}/package.json`))
const read = new Map<string, Declarations>()

/** Keys of `manifest` that its kind does not have, as paths; throws for a kind that no model is known of. */
export function unknownKeys(manifest: Manifest): string[] {
  const file = fileOf(manifest)
  return visit(manifest, { is: 'named', file, name: `I${manifest.kind}` }, manifest.kind)
}

/** The model of a kind, as a path in its package. */
export function modelOf({ apiVersion, kind }: Manifest): { package: string; path: string } {
  const isKeda = apiVersion.startsWith('keda.sh/')
  return {
    package: isKeda ? '@kubernetes-models/keda' : 'kubernetes-models',
    path: `${apiVersion}/${kind}`,
  }
}

function fileOf(manifest: Manifest): string {
  const model = modelOf(manifest)
  const file = join(packageRoot(model.package), `${model.path}.d.ts`)
  if (!existsSync(file)) throw new Error(`no model of ${manifest.apiVersion} ${manifest.kind}`)
  return file
}

function visit(value: Json, shape: Shape, path: string): string[] {
  switch (shape.is) {
    case 'anything':
      return []
    case 'named':
      return visit(value, resolveNamed(shape.file, shape.name), path)
    case 'list':
      return Array.isArray(value) ? value.flatMap((one, i) => visit(one, shape.of, `${path}[${i}]`)) : []
    case 'object': {
      if (value === null || typeof value !== 'object' || Array.isArray(value)) return []
      return Object.entries(value).flatMap(([key, inner]) => {
        const field = shape.fields.get(key) ?? shape.free
        return field === undefined ? [`${path}.${key}`] : visit(inner, field, `${path}.${key}`)
      })
    }
  }
}

function resolveNamed(file: string, name: string): Shape {
  const shape = declarationsOf(file).get(name)
  if (shape === undefined) throw new Error(`${file} does not declare ${name}`)
  return shape
}

/** Interfaces, aliases and imports of one declaration file, by the name that the file uses. */
function declarationsOf(file: string): Declarations {
  const known = read.get(file)
  if (known !== undefined) return known
  const text = readFileSync(file, 'utf8')
  const found: Declarations = new Map()
  read.set(file, found)
  const { program, module } = parseSync(file, text)
  for (const one of module.staticImports) {
    for (const entry of one.entries) {
      const from = importedFile(file, one.moduleRequest.value)
      const name = entry.importName.name ?? ''
      if (from !== undefined) found.set(entry.localName.value, { is: 'named', file: from, name })
    }
  }
  for (const { entries } of module.staticExports) {
    for (const entry of entries) {
      const local = entry.localName.name
      const exported = entry.exportName.name
      if (local != null && exported != null && local !== exported)
        found.set(exported, { is: 'named', file, name: local })
    }
  }
  new Visitor({
    TSInterfaceDeclaration: (node) =>
      void found.set(node.id.name, objectOf(node.body.body as unknown as Node[], file)),
    TSTypeAliasDeclaration: (node) =>
      void found.set(node.id.name, shapeOf(node.typeAnnotation as unknown as Node, file)),
  }).visit(program)
  return found
}

function importedFile(file: string, specifier: string): string | undefined {
  if (specifier === '@kubernetes-models/base') return undefined
  if (specifier.startsWith('.')) return resolve(dirname(file), specifier.replace(/\.js$/, '.d.ts'))
  const parts = specifier.split('/')
  const depth = specifier.startsWith('@') ? 2 : 1
  return join(packageRoot(parts.slice(0, depth).join('/')), `${parts.slice(depth).join('/')}.d.ts`)
}

function objectOf(members: Node[], file: string): Shape {
  const fields = new Map<string, Shape>()
  let free: Shape | undefined
  for (const member of members) {
    const annotation = member.typeAnnotation as { typeAnnotation: Node } | undefined
    const shape: Shape =
      annotation === undefined ? { is: 'anything' } : shapeOf(annotation.typeAnnotation, file)
    if (member.type === 'TSIndexSignature') free = shape
    const key = member.key as { name?: string; value?: string } | undefined
    if (member.type === 'TSPropertySignature') fields.set(key?.value ?? key?.name ?? '', shape)
  }
  return { is: 'object', fields, free }
}

function shapeOf(node: Node, file: string): Shape {
  switch (node.type) {
    case 'TSTypeLiteral':
      return objectOf(node.members as Node[], file)
    case 'TSArrayType':
      return { is: 'list', of: shapeOf(node.elementType as Node, file) }
    case 'TSTypeReference': {
      const { name } = node.typeName as { name: string }
      const [of] = (node.typeArguments as { params: Node[] } | null)?.params ?? []
      if (name === 'Array' && of !== undefined) return { is: 'list', of: shapeOf(of, file) }
      return { is: 'named', file, name }
    }
    default:
      return { is: 'anything' }
  }
}
