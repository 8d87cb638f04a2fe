// The outbox: one local page that shows what the sinks received. Mails are shown in a sandboxed frame without scripts;
// all else is text. Loopback only; nothing here sends anything.
import { createHash } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import { listenLocally } from './http-sink.ts'
import type { SinkLog } from './sink-log.ts'

export type Outbox = { url: string; port: number; stop(): Promise<void> }

const SCRIPT = `
const state = { channel: location.hash.slice(1) || 'email', open: null, filter: '' };
const el = (tag, text, cls) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (cls) e.className = cls; return e; };
async function load() {
  const reply = await fetch('/api/messages').then(r => r.json()).catch(() => null);
  if (!reply) return;
  const tabs = document.getElementById('tabs'); tabs.replaceChildren();
  for (const name of ['email', 'push', 'webhook']) {
    const tab = el('button', name + ' ' + reply[name].count, name === state.channel ? 'on' : '');
    tab.onclick = () => { state.channel = name; state.open = null; location.hash = name; load(); };
    tabs.append(tab);
  }
  const list = document.getElementById('list'); list.replaceChildren();
  const wanted = reply[state.channel].recent.filter(m => JSON.stringify(m).toLowerCase().includes(state.filter));
  if (wanted.length === 0) list.append(el('p', state.filter ? 'Nothing matches.' : 'Nothing has been sent yet.', 'empty'));
  for (const m of wanted) {
    const row = el('button', undefined, 'row' + (state.open === m.id ? ' on' : ''));
    row.append(el('time', new Date(m.at).toLocaleTimeString()), el('b', m.subject || m.title || (m.body && m.body.type) || 'message'), el('span', [].concat(m.to).join(', ')));
    row.onclick = () => { state.open = m.id; show(m); load(); };
    list.append(row);
  }
}
function show(m) {
  const box = document.getElementById('message'); box.replaceChildren();
  box.append(el('h2', m.subject || m.title || 'Webhook'));
  if (m.html) { const frame = el('iframe'); frame.setAttribute('sandbox', ''); frame.srcdoc = m.html; box.append(frame); }
  const rest = { ...m }; delete rest.html;
  box.append(el('pre', JSON.stringify(rest, null, 2)));
}
document.getElementById('filter').oninput = e => { state.filter = e.target.value.toLowerCase(); load(); };
load(); setInterval(load, 2000);`

const STYLE = `
:root{color-scheme:light dark;font:15px/1.45 system-ui,sans-serif}body{margin:0;display:grid;grid-template-columns:minmax(320px,38%) 1fr;height:100vh}
nav{border-right:1px solid #8884;overflow:auto;padding:16px}main{overflow:auto;padding:24px}h1{font-size:18px;margin:0 0 12px}h2{margin:0 0 16px}
#tabs{display:flex;gap:6px;margin-bottom:12px}button{font:inherit;color:inherit;background:none;border:1px solid #8886;border-radius:8px;padding:6px 12px;cursor:pointer}
button.on{background:#2563eb;color:#fff;border-color:#2563eb}input{font:inherit;width:100%;box-sizing:border-box;padding:8px 10px;border:1px solid #8886;border-radius:8px;margin-bottom:12px;background:none;color:inherit}
.row{display:grid;grid-template-columns:auto 1fr;gap:2px 10px;width:100%;text-align:left;margin-bottom:6px}.row span{grid-column:2;opacity:.75;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.row b{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}time{opacity:.6}iframe{width:100%;height:420px;border:1px solid #8884;border-radius:8px;background:#fff}pre{white-space:pre-wrap;word-break:break-word;background:#8881;padding:16px;border-radius:8px}.empty{opacity:.6}`

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Millrace outbox</title>
<style>${STYLE}</style><nav><h1>Outbox <small>— nothing here left this machine</small></h1><div id="tabs"></div><input id="filter" placeholder="Filter by address, subject, content" aria-label="Filter"><div id="list"></div></nav>
<main id="message"><p class="empty">Choose a message.</p></main><script>${SCRIPT}</script></html>`

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
const POLICY = `default-src 'none'; script-src ${hashOf(SCRIPT)}; style-src 'unsafe-inline'; connect-src 'self'; img-src data: https:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

export async function startOutbox(options: {
  port: number
  logs: { email: SinkLog; push: SinkLog; webhook: SinkLog }
}): Promise<Outbox> {
  /** JSON with one entry a channel. */
  const answer = (response: ServerResponse, of: (log: SinkLog) => unknown) =>
    response
      .writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
      .end(
        JSON.stringify(
          Object.fromEntries(Object.entries(options.logs).map(([channel, log]) => [channel, of(log)])),
        ),
      )
  const server = createServer((request, response) => {
    // Another site that points its own name here (DNS rebinding) would read the mails.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? '')) response.writeHead(403).end()
    else if (request.url === '/api/messages')
      answer(response, (log) => ({ count: log.count(), recent: log.recent() }))
    else if (request.url === '/api/counts') answer(response, (log) => log.count())
    else if (request.url === '/' || request.url?.startsWith('/?') === true) {
      response.writeHead(200, {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
      })
      response.end(PAGE)
    } else response.writeHead(404).end()
  })
  const { port, stop } = await listenLocally(server, options.port)
  return { url: `http://127.0.0.1:${port}/`, port, stop }
}
