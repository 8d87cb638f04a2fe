// Gives route files the static types of their schemas, and checks requests against them: bodies strictly, query and path
// after turning their text into numbers and booleans; a body that comes as a stream is judged by who reads it. Used by every route file; never answers itself.
import { Readable } from 'node:stream'
import type { FastifyTypeProvider } from 'fastify'
import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { Value } from 'typebox/value'
import { fail, type MillraceError } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'

export interface TypeBoxProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown
}

/** The same server, with `request.body`, `query` and `params` typed by the schemas of each route. */
export function typed(app: HttpServer) {
  return app.withTypeProvider<TypeBoxProvider>()
}

/** Makes `app` (an encapsulated plugin) check requests by its routes' TypeBox schemas; unknown members are refused, not dropped. */
export function useSchemaChecks(app: HttpServer): void {
  app.setValidatorCompiler<TSchema>(({ schema, httpPart }) => {
    const check = Compile(schema)
    const isText = httpPart !== 'body'
    return (data: unknown) => {
      if (data instanceof Readable) return { value: data }
      const ill = illText(data)
      if (ill !== undefined) return { error: ill }
      const withDefaults = Value.Default(schema, data)
      const value = isText ? Value.Convert(schema, withDefaults) : withDefaults
      if (check.Check(value)) return { value }
      return { error: mismatch(httpPart ?? 'request', check.Errors(value)) }
    }
  })
}

const MAX_DEPTH = 64

/** Postgres takes neither NUL nor half a surrogate pair in text: said here, before it would fail there. */
function illText(value: unknown, path = '', depth = 0): MillraceError | undefined {
  if (typeof value === 'string' && (value.includes('\u0000') || !value.isWellFormed())) {
    return fail('invalid_request', `${path} has a NUL or half a surrogate pair`, { field: path })
  }
  if (typeof value !== 'object' || value === null) return undefined
  if (depth > MAX_DEPTH) return fail('invalid_request', `it is nested deeper than ${MAX_DEPTH} levels`)
  for (const [name, inner] of Object.entries(value)) {
    if (name.includes('\u0000')) return fail('invalid_request', 'a member name has a NUL')
    const ill = illText(inner, path === '' ? name : `${path}.${name}`, depth + 1)
    if (ill !== undefined) return ill
  }
  return undefined
}

/** One error that names the place, the reason and, for unknown members, which. */
function mismatch(
  part: string,
  errors: { instancePath: string; message: string; keyword: string; params: object }[],
): MillraceError {
  // An anyOf error only says that no branch fits; the errors of its branches say why.
  const first = errors.find((error) => error.keyword !== 'anyOf') ?? errors[0]
  if (first === undefined) return fail('invalid_request', `${part} does not have the expected shape`)
  const field = first.instancePath.slice(1).replaceAll('/', '.')
  const unknown =
    'additionalProperties' in first.params && Array.isArray(first.params.additionalProperties)
      ? ` (${first.params.additionalProperties.slice(0, 5).join(', ')})`
      : ''
  const where = field === '' ? part : `${part}.${field}`
  return fail('invalid_request', `${where} ${first.message}${unknown}`, field === '' ? {} : { field })
}
