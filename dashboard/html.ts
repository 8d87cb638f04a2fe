// HTML by template: every value is escaped unless it was made by `html` itself. Used by the pages of the dashboard.

export type Html = { readonly html: string }

type Part = string | number | Html | undefined | null | false | Part[]

export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return {
    html: strings.reduce((text, string, i) => text + string + (i < parts.length ? render(parts[i]) : ''), ''),
  }
}

function render(part: Part): string {
  if (part === undefined || part === null || part === false) return ''
  if (Array.isArray(part)) return part.map(render).join('')
  if (typeof part === 'object') return part.html
  return escapeHtml(String(part))
}

const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ESCAPES[char] ?? char)
}
