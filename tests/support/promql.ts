// What a PromQL expression asks for: its selectors and the labels it names. Enough for our own rules and dashboards, whose
// strings hold no braces; Prometheus itself says in a test whether an expression is right.

/** `text` is the selector as it can be asked for on its own. */
export type Selector = { metric: string; labels: string[]; text: string }

const WORDS = new Set('and or unless by without on ignoring group_left group_right bool offset'.split(' '))
const STRING = /"[^"]*"|'[^']*'/g
const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g

/** Every metric that is asked for, recorded ones among them. */
export function selectorsOf(expression: string): Selector[] {
  const plain = expression.replace(GROUPING, ' ').replace(/\[[^\]]*\]/g, '')
  const found = [...plain.matchAll(/("[^"]*"|'[^']*')|([a-zA-Z_:][\w:]*)(\s*\{([^}]*)\})?(\s*\()?/g)].filter(
    ([, string, name = '', , , call]) => string === undefined && call === undefined && !WORDS.has(name),
  )
  return found.map(([, , metric = '', braces = '', matchers = '']) => ({
    metric,
    labels: [...matchers.replace(STRING, '""').matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(
      ([, label = '']) => label,
    ),
    text: metric + braces.trim(),
  }))
}

/** Labels of `by (…)` and the like. */
export function groupedBy(expression: string): string[] {
  return [...expression.matchAll(GROUPING)].flatMap(([, list = '']) => list.match(/\w+/g) ?? [])
}

/** A selector of several values as one for each of them: each must be there, not only one. */
export function alternativesOf(selector: string): string[] {
  const [whole, label, values] = /(\w+)=~"([\w-]+(?:\|[\w-]+)+)"/.exec(selector) ?? []
  if (whole === undefined || values === undefined) return [selector]
  return values.split('|').flatMap((value) => alternativesOf(selector.replace(whole, `${label}="${value}"`)))
}
