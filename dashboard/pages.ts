// The dashboard's own pages as HTML: log in, sign out, and the frame that all of them share. Pure; no scripts.
import type { Person } from './guard.ts'
import { type Html, html } from './html.ts'

/** A whole page. With a person the bar shows the way to the queues, the search and out. */
export function page(title: string, body: Html, person?: Person): string {
  const bar =
    person === undefined
      ? html``
      : html`<header class="bar">
          <a class="brand" href="/admin/queues">Millrace</a>
          <nav><a href="/admin/queues">Queues</a><a href="/search">Find a job</a></nav>
          <form method="post" action="/logout" class="who">
            <span>${person.name}<small>${person.role}</small></span><button class="quiet">Sign out</button>
          </form>
        </header>`
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · Millrace</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/style.css">
</head>
<body>${bar}${body}</body>
</html>
`.html
}

export function loginPage(options: { next: string; name?: string; problem?: string }): string {
  return page(
    'Log in',
    html`<main class="door">
      <div class="mark" aria-hidden="true"></div>
      <h1>Millrace</h1>
      <p class="hint">Queues and jobs of this deployment</p>
      ${options.problem !== undefined && html`<p class="problem" role="alert">${options.problem}</p>`}
      <form method="post" action="/login">
        <input type="hidden" name="next" value="${options.next}">
        <label>Name
          <input name="name" autocomplete="username" autocapitalize="none" required maxlength="100"
            value="${options.name ?? 'admin'}"></label>
        <label>Password
          <input name="password" type="password" autocomplete="current-password" required maxlength="200" autofocus></label>
        <button>Log in</button>
      </form>
      <p class="foot">The first password was printed once by <code>millrace start</code>.</p>
    </main>`,
  )
}

export function signOutPage(person: Person): string {
  return page(
    'Sign out',
    html`<main class="door"><h1>Sign out?</h1>
      <p class="hint">You are logged in as ${person.name}.</p>
      <form method="post" action="/logout"><button>Sign out</button></form>
      <p class="foot"><a href="/admin/queues">Back to the queues</a></p>
    </main>`,
    person,
  )
}
