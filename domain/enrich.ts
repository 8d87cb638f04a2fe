// What the edge and the context say about an event beyond itself: device, campaign, locale, referrer, place, consent,
// bots. Pure. Nothing that was sent is overwritten, and nothing is dropped: doubts become marks.

import { MARKS } from '../schema/event.ts'
import type { Landing } from './sessions.ts'
import { readUserAgent } from './user-agent.ts'

export type EdgeFacts = {
  ip?: string | undefined
  userAgent?: string | undefined
  country?: string | undefined
  city?: string | undefined
  gpc?: boolean | undefined
}

export type Enriched = {
  /** The context as it is kept: what was sent, with what was found added under Segment's names. */
  context: Record<string, unknown>
  marks: number
  landing: Landing
}

/** `sent` = the message's own context; `edge` = what the collector saw of the request. */
export function enrich(sent: Record<string, unknown>, edge: EdgeFacts): Enriched {
  const context: Record<string, unknown> = { ...sent }
  let marks = edge.gpc === true ? MARKS.gpc : 0
  const landing: Landing = {}
  const userAgent = textOf(sent.userAgent) ?? edge.userAgent
  if (userAgent !== undefined) {
    const agent = readUserAgent(userAgent)
    if (agent.bot) marks |= MARKS.bot
    context.userAgent ??= userAgent
    context.device = { type: agent.device, ...objectOf(sent.device) }
    if (agent.os !== undefined) context.os = { name: agent.os, ...objectOf(sent.os) }
    landing.device = textOf(objectOf(sent.device).type) ?? agent.device
  }
  if (edge.ip !== undefined) context.ip ??= edge.ip
  const page = objectOf(sent.page)
  const url = parseUrl(textOf(page.url))
  addCampaign(context, objectOf(sent.campaign), url, landing)
  addPlace(context, objectOf(sent.location), edge, landing)
  const locale = textOf(sent.locale)
  if (locale !== undefined) landing.locale = locale.slice(0, 35)
  const path = textOf(page.path) ?? url?.pathname
  if (path !== undefined) landing.page = path.slice(0, 500)
  const referrer = parseUrl(textOf(page.referrer))
  if (referrer !== undefined && sent.referrer === undefined)
    context.referrer = { url: textOf(page.referrer), domain: referrer.hostname }
  return { context, marks: marks | consentMarks(objectOf(sent.consent)), landing: capped(landing) }
}

/** Segment's campaign object, else the utm_ parameters of the page's address. */
function addCampaign(
  context: Record<string, unknown>,
  sent: Record<string, unknown>,
  url: URL | undefined,
  landing: Landing,
): void {
  const name = textOf(sent.name)
  if (name !== undefined) {
    landing.campaign = name
    return
  }
  if (url === undefined || !url.search.includes('utm_')) return
  const found: Record<string, string> = {}
  for (const [key, value] of url.searchParams) {
    if (!key.startsWith('utm_')) continue
    const field = key.slice(4)
    if (/^(campaign|source|medium|term|content)$/.test(field))
      found[field === 'campaign' ? 'name' : field] = value.slice(0, 200)
  }
  if (Object.keys(found).length === 0) return
  context.campaign = { ...found, ...sent }
  if (found.name !== undefined) landing.campaign = found.name
}

function addPlace(
  context: Record<string, unknown>,
  sent: Record<string, unknown>,
  edge: EdgeFacts,
  landing: Landing,
): void {
  if (edge.country !== undefined || edge.city !== undefined) {
    context.location = {
      ...(edge.country === undefined ? {} : { country: edge.country }),
      ...(edge.city === undefined ? {} : { city: edge.city }),
      ...sent,
    }
  }
  const country = textOf(sent.country) ?? edge.country
  if (country !== undefined && country.length <= 8) landing.country = country
}

/** Segment's `context.consent.categoryPreferences`: any refusal marks the event; all granted marks it given. */
function consentMarks(consent: Record<string, unknown>): number {
  const preferences = Object.values(objectOf(consent.categoryPreferences))
  if (preferences.length === 0) return 0
  return preferences.some((granted) => granted === false) ? MARKS.consentDenied : MARKS.consentGiven
}

function capped(landing: Landing): Landing {
  if (landing.device !== undefined) landing.device = landing.device.slice(0, 64)
  if (landing.campaign !== undefined) landing.campaign = landing.campaign.slice(0, 200)
  return landing
}

export function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function parseUrl(text: string | undefined): URL | undefined {
  return text === undefined ? undefined : (URL.parse(text) ?? undefined)
}
