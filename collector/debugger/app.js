// The event debugger in the browser: follows one source's verdicts and shows them in a table. Served by
// collector/debugger.ts. Everything shown is set as text, never as HTML.
const KEPT = 500
const KEY_NAME = 'millrace-debugger-key'
const $ = (id) => document.getElementById(id)

/** @type {{ row: HTMLTableRowElement, verdict: string, text: string }[]} newest first */
let shown = []
let counts = { accepted: 0, refused: 0 }
let wantedVerdict = ''
let paused = false
let held = []
let following = null

const storedKey = () => sessionStorage.getItem(KEY_NAME)
const authorised = (key) => ({ headers: { authorization: `Bearer ${key}` }, cache: 'no-store' })

function say(state, text) {
  $('state').dataset.state = state
  $('state').textContent = text
}

async function open(key) {
  const reply = await fetch('/debugger/sources', authorised(key))
  if (!reply.ok) {
    const problem = await reply.json().catch(() => ({}))
    throw new Error(problem.detail ?? `the server answered ${reply.status}`)
  }
  const { sources } = await reply.json()
  sessionStorage.setItem(KEY_NAME, key)
  $('source').replaceChildren(
    ...sources.map(({ sourceId, name }) => new Option(name, String(sourceId))),
  )
  const wanted = new URLSearchParams(location.search).get('source')
  if (wanted !== null && sources.some(({ sourceId }) => String(sourceId) === wanted)) $('source').value = wanted
  $('login').hidden = true
  $('live').hidden = false
  $('sample').textContent = [
    `curl ${location.origin}/v1/track \\`,
    "  -u '<write key>:' \\",
    "  -H 'Content-Type: application/json' \\",
    `  -d '{"event":"Hello Millrace","userId":"me"}'`,
  ].join('\n')
  follow()
}

/** Server-sent events over fetch, because EventSource cannot send a key and addresses end up in logs. */
async function follow() {
  following?.abort()
  const mine = new AbortController()
  following = mine
  clear()
  let lastId
  while (!mine.signal.aborted) {
    try {
      const options = authorised(storedKey())
      options.signal = mine.signal
      options.headers.accept = 'text/event-stream'
      if (lastId !== undefined) options.headers['last-event-id'] = lastId
      const reply = await fetch(`/api/v1/sources/${$('source').value}/feed`, options)
      if (reply.status === 401 || reply.status === 403) return leave('The key is not accepted any more.')
      if (!reply.ok) throw new Error(String(reply.status))
      say('live', 'live')
      for await (const { id, data } of frames(reply.body)) {
        lastId = id
        take(JSON.parse(data))
      }
    } catch (error) {
      if (mine.signal.aborted) return
      void error
    }
    say('lost', 'connection lost, trying again')
    await new Promise((resolve) => setTimeout(resolve, 2000))
  }
}

async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    let end = text.indexOf('\n\n')
    for (; end !== -1; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      const id = lines.find((line) => line.startsWith('id: '))?.slice(4)
      const data = lines.find((line) => line.startsWith('data: '))?.slice(6)
      if (id !== undefined && data !== undefined) yield { id, data }
    }
  }
}

function take(entry) {
  if (!paused) return show(entry)
  held.push(entry)
  if (held.length > KEPT) held.shift()
  $('pause').textContent = `Resume (${held.length})`
}

function show(entry) {
  const row = document.createElement('tr')
  row.className = `${entry.verdict} fresh`
  const time = new Date(entry.at)
  const clock = `${time.toLocaleTimeString([], { hour12: false })}.${String(time.getMilliseconds()).padStart(3, '0')}`
  cell(row, clock).title = time.toISOString()
  const badge = document.createElement('span')
  badge.className = `badge ${entry.verdict}`
  badge.textContent = entry.verdict
  cell(row, '').append(badge)
  cell(row, entry.type ?? '')
  cell(row, entry.name ?? '').className = 'name'
  cell(row, entry.user ?? '')
  cell(row, entry.messageId ?? '').title = entry.messageId ?? ''
  const why = cell(row, '')
  if (entry.verdict === 'refused') {
    const code = document.createElement('code')
    code.textContent = entry.field ? entry.field : entry.code
    code.title = entry.code
    why.append(code, entry.reason ?? '')
  }
  if (entry.skipped) {
    const more = document.createElement('span')
    more.className = 'more'
    more.textContent = `and ${entry.skipped.toLocaleString()} more ${entry.verdict} before this one, not shown`
    why.append(more)
  }
  const text = [entry.type, entry.name, entry.user, entry.messageId, entry.code, entry.field, entry.reason]
    .join(' ')
    .toLowerCase()
  const item = { row, verdict: entry.verdict, text }
  row.hidden = !isWanted(item)
  shown.unshift(item)
  $('rows').prepend(row)
  for (const old of shown.splice(KEPT)) old.row.remove()
  counts[entry.verdict] += 1 + (entry.skipped ?? 0)
  showCounts()
}

function cell(row, text) {
  const td = row.insertCell()
  td.textContent = text
  return td
}

function isWanted({ verdict, text }) {
  return (wantedVerdict === '' || verdict === wantedVerdict) && text.includes($('filter').value.trim().toLowerCase())
}

function filter() {
  for (const item of shown) item.row.hidden = !isWanted(item)
}

function showCounts() {
  $('count-accepted').textContent = counts.accepted.toLocaleString()
  $('count-refused').textContent = counts.refused.toLocaleString()
  $('count-all').textContent = (counts.accepted + counts.refused).toLocaleString()
  $('empty').hidden = shown.length > 0
}

function clear() {
  shown = []
  held = []
  counts = { accepted: 0, refused: 0 }
  $('rows').replaceChildren()
  showCounts()
}

function leave(reason) {
  following?.abort()
  sessionStorage.removeItem(KEY_NAME)
  $('live').hidden = true
  $('login').hidden = false
  $('login-error').textContent = reason ?? ''
  $('login-error').hidden = reason === undefined
  say('off', 'not connected')
}

$('login-form').addEventListener('submit', async (event) => {
  event.preventDefault()
  const key = $('key').value.trim()
  $('key').value = ''
  try {
    await open(key)
  } catch (error) {
    leave(error.message)
  }
})
$('source').addEventListener('change', follow)
$('filter').addEventListener('input', filter)
for (const button of document.querySelectorAll('[data-verdict]')) {
  button.addEventListener('click', () => {
    wantedVerdict = button.dataset.verdict
    for (const other of document.querySelectorAll('[data-verdict]')) {
      other.setAttribute('aria-pressed', String(other === button))
    }
    filter()
  })
}
$('pause').addEventListener('click', () => {
  paused = !paused
  $('pause').setAttribute('aria-pressed', String(paused))
  $('pause').textContent = paused ? 'Resume' : 'Pause'
  if (!paused) for (const entry of held.splice(0)) show(entry)
})
$('clear').addEventListener('click', clear)
$('leave').addEventListener('click', () => leave())
if (storedKey() !== null) open(storedKey()).catch((error) => leave(error.message))
