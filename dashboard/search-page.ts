// The search page as HTML: the form, and what was found grouped by where it is. Pure.
import type { FindResult } from '../queues/find-jobs.ts'
import type { DeliveryOfProfile } from '../store/profile-history.ts'
import type { FoundFailure } from '../store/search.ts'
import type { Person } from './guard.ts'
import { type Html, html } from './html.ts'
import { page } from './pages.ts'

export type Found = {
  message: { receivedAt: Date } | undefined
  failures: FoundFailure[]
  look: FindResult
  profileIds: number[]
  deliveries: DeliveryOfProfile[]
}

export function searchPage(q: string, found: Found | undefined, person: Person | undefined): string {
  return page(
    'Find a job',
    html`<main class="wide">
      <h1>Find a job</h1>
      <form method="get" action="/search" class="search" role="search">
        <input name="q" value="${q}" placeholder="Message id, user id, anonymous id, batch or job id" maxlength="256"
          aria-label="What to look for" autofocus spellcheck="false">
        <button>Find</button>
      </form>
      ${found === undefined ? hint : results(found)}
    </main>`,
    person,
  )
}

const hint = html`<p class="hint">Looks through the waiting, active, delayed and failed jobs of every queue, and at what
  Postgres knows of the id: whether the message was kept, whether it failed, and what was sent to the person.</p>`

function results(found: Found): Html {
  const nothing =
    found.look.jobs.length === 0 &&
    found.message === undefined &&
    found.failures.length === 0 &&
    found.profileIds.length === 0
  if (nothing)
    return html`<section class="empty"><h2>Nothing found</h2><p class="hint">${lookedAt(found.look)}</p></section>`
  return html`${jobs(found.look)}${kept(found)}${failures(found.failures)}${deliveries(found)}`
}

function jobs(look: FindResult): Html {
  const rows = look.jobs.map(
    (job) => html`<tr>
      <td><a href="/admin/queues/queue/${encodeURIComponent(job.queue)}/${encodeURIComponent(job.jobId)}">${job.jobId}</a></td>
      <td>${job.queue}</td>
      <td><span class="state ${job.state}">${job.state === 'wait' ? 'waiting' : job.state}</span></td>
    </tr>`,
  )
  const table = html`<table><thead><tr><th>Job</th><th>Queue</th><th>State</th></tr></thead><tbody>${rows}</tbody></table>`
  return html`<section><h2>In the queues <small>${look.jobs.length}</small></h2>
    ${look.jobs.length === 0 ? html`<p class="hint">In none of them.</p>` : table}
    <p class="hint">${lookedAt(look)}</p></section>`
}

function lookedAt(look: FindResult): string {
  if (look.total === 0) return 'The queues are empty.'
  const all = look.looked >= look.total
  return all
    ? `Looked at all ${look.total} jobs in the queues.`
    : `Looked at ${look.looked} of ${look.total} jobs in the queues; there may be more.`
}

function kept(found: Found): Html {
  if (found.message === undefined) return html``
  return html`<section><h2>Kept</h2>
    <p>The message is in Postgres; it was received at <time>${found.message.receivedAt.toISOString()}</time>.</p></section>`
}

function failures(rows: FoundFailure[]): Html {
  if (rows.length === 0) return html``
  const shown = rows.map(
    (row) => html`<tr><td>${row.failedId}</td><td>${row.stage}</td><td><code>${row.code}</code></td>
      <td><time>${row.failedAt.toISOString()}</time></td>
      <td><span class="state ${row.resolvedAt === null ? 'failed' : 'done'}">${row.resolvedAt === null ? 'open' : 'resolved'}</span></td></tr>`,
  )
  return html`<section><h2>Failed events <small>${rows.length}</small></h2>
    <table><thead><tr><th>Number</th><th>Stage</th><th>Code</th><th>Failed</th><th></th></tr></thead><tbody>${shown}</tbody></table>
    <p class="hint">Send one again with <code>millrace replay --id NUMBER --yes</code>.</p></section>`
}

function deliveries(found: Found): Html {
  if (found.profileIds.length === 0) return html``
  const rows = found.deliveries.map(
    (row) => html`<tr><td>${row.deliveryKey}</td><td>${row.channel}</td>
      <td><span class="state ${row.state}">${row.state}</span></td><td>${row.reason ?? ''}</td>
      <td><time>${row.createdAt.toISOString()}</time></td></tr>`,
  )
  const table = html`<table><thead><tr><th>Delivery</th><th>Channel</th><th>State</th><th>Reason</th><th>Made</th></tr></thead>
    <tbody>${rows}</tbody></table>`
  return html`<section><h2>Sent to this person <small>${found.deliveries.length}</small></h2>
    ${found.deliveries.length === 0 ? html`<p class="hint">Nothing yet.</p>` : table}
    <p class="hint">Profile ${found.profileIds.join(', ')}</p></section>`
}
