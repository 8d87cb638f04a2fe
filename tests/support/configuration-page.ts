// docs/CONFIGURATION.md as the table of keys says it. The test of the papers compares the committed page with this one.
import type { Entry } from '../../runtime/config-keys/entry.ts'

/** The whole page, as Markdown. */
export function configurationPage(areas: { title: string; keys: Record<string, Entry> }[]): string {
  return [
    '# Configuration',
    '',
    '<!-- Made from runtime/config-keys/ by tests/house/papers.test.ts: edit the tables, then run',
    '     npm test -- tests/house/papers.test.ts -u -->',
    '',
    'Every key is an environment variable, read once at start; all mistakes are reported together, and a key that starts with',
    '`MILLRACE_` and is not listed here is one of them. `npx millrace config print` shows what a deployment goes by; secrets',
    'are shown only as set or not set.',
    ...areas.flatMap(({ title, keys }) => [
      '',
      `## ${title}`,
      '',
      '| key | kind | default | why |',
      '|---|---|---|---|',
      ...Object.values(keys).map(rowOf),
    ]),
    '',
  ].join('\n')
}

function rowOf(entry: Entry): string {
  const kind = entry.secret === true ? `${entry.kind}, secret` : entry.kind
  const range = entry.min === undefined || entry.max === undefined ? '' : `, ${entry.min} to ${entry.max}`
  const byDefault = entry.default === '' ? '(empty)' : `\`${entry.default}\``
  return `| \`${entry.env}\` | ${kind}${range} | ${byDefault} | ${entry.why.replaceAll('|', '\\|')} |`
}
