// Renders templates: Liquid with own properties only, no file system, and limits on parse, render and memory, so that a
// template can neither read what it was not given nor hold up a worker. HTML bodies escape what they print.
import { Liquid, type Template } from 'liquidjs'

export type TemplateData = {
  profile: { userId: string | null; traits: Record<string, unknown> }
  campaign: { name: string }
  segment: { slug: string; name: string }
  unsubscribeUrl: string
}

const LIMITS = {
  parseLimit: 100_000,
  renderLimit: 100,
  memoryLimit: 10_000_000,
  ownPropertyOnly: true,
  strictFilters: true,
}
const MAX_OUTPUT = 200_000
const MAX_REMEMBERED = 200

// Relative paths could otherwise be resolved against the working folder by `render` and `include`.
const NO_FILES = { templates: {} }
const plain = new Liquid({ ...LIMITS, ...NO_FILES })
const html = new Liquid({ ...LIMITS, ...NO_FILES, outputEscape: 'escape' })
let parsed = new Map<string, Template[]>()

/** The text; throws what Liquid throws on a mistake in the template or a passed limit. */
export function renderTemplate(text: string, data: TemplateData, kind: 'text' | 'html'): string {
  const engine = kind === 'html' ? html : plain
  const key = `${kind}\u0000${text}`
  let template = parsed.get(key)
  if (template === undefined) {
    template = engine.parse(text)
    if (parsed.size >= MAX_REMEMBERED) parsed = new Map()
    parsed.set(key, template)
  }
  const output = String(engine.renderSync(template, data))
  if (output.length > MAX_OUTPUT)
    throw new RangeError(`the rendered text is longer than ${MAX_OUTPUT} characters`)
  return output
}
