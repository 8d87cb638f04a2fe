// What the edge and the context say about an event beyond itself: device, campaign, locale, referrer, place, consent,
// bots. Pure. Nothing that was sent is overwritten, and nothing is dropped: doubts become marks.
import { MARKS } from '../schema/event.ts'
import type { Landing } from './sessions.ts'
import { isOfPerson, readUserAgent } from './user-agent.ts'
import { isJsonObject, type JsonObject } from './validate-json.ts'

export type EdgeFacts = {
  ip?: string | undefined
  userAgent?: string | undefined
  country?: string | undefined
  city?: string | undefined
  gpc?: boolean | undefined
}

export type Enriched = {
  /** The context as it is kept: what was sent, with what was found added under Segment's names. */
  context: JsonObject
  marks: number
  landing: Landing
}

/** `sent` = the message's own context; `edge` = what the collector saw of the request. */
export function enrich(sent: JsonObject, edge: EdgeFacts): Enriched {
  const context: JsonObject = { ...sent }
  const landing: Landing = {}
  const marks =
    (edge.gpc === true ? MARKS.gpc : 0) |
    addUserAgent(context, sent, edge, landing) |
    consentMarks(objectOf(objectOf(sent.consent).categoryPreferences))
  if (edge.ip !== undefined) context.ip ??= edge.ip
  addPage(context, sent, landing)
  addPlace(context, objectOf(sent.location), edge, landing)
  const locale = textOf(sent.locale)
  if (locale !== undefined) landing.locale = cut(locale, 35)
  return { context, marks, landing }
}

function addUserAgent(context: JsonObject, sent: JsonObject, edge: EdgeFacts, landing: Landing): number {
  const ofRequest = edge.userAgent !== undefined && isOfPerson(edge.userAgent) ? edge.userAgent : undefined
  const userAgent = textOf(sent.userAgent) ?? ofRequest
  const sentDevice = textOf(objectOf(sent.device).type)
  if (sentDevice !== undefined) landing.device = cut(sentDevice, 64)
  if (userAgent === undefined) return 0
  const agent = readUserAgent(userAgent)
  context.userAgent ??= userAgent
  context.device = { type: agent.device, ...objectOf(sent.device) }
  if (agent.os !== undefined) context.os = { name: agent.os, ...objectOf(sent.os) }
  landing.device ??= agent.device
  return agent.bot ? MARKS.bot : 0
}

/** Landing page, campaign and the host it was reached from. */
function addPage(context: JsonObject, sent: JsonObject, landing: Landing): void {
  const page = objectOf(sent.page)
  const address = textOf(page.url)
  const sentPath = textOf(page.path)
  const hasUtm = address?.includes('utm_') === true
  // Parsing an address costs more than all the rest here: only where something is wanted from it.
  const url = address !== undefined && (hasUtm || sentPath === undefined) ? URL.parse(address) : null
  const path = sentPath ?? url?.pathname
  if (path !== undefined) landing.page = cut(path, 500)
  const sentCampaign = objectOf(sent.campaign)
  const found = url !== null && hasUtm ? campaignOf(url) : undefined
  if (found !== undefined) context.campaign = { ...found, ...sentCampaign }
  const campaign = textOf(sentCampaign.name) ?? found?.name
  if (campaign !== undefined) landing.campaign = cut(campaign, 200)
  const referrer = textOf(page.referrer)
  if (referrer !== undefined && sent.referrer === undefined) {
    const domain = /^https?:\/\/(?:[^/?#@]*@)?([^/?#:]{1,255})/i.exec(referrer)?.[1]
    if (domain !== undefined) context.referrer = { domain: domain.toLowerCase() }
  }
}

const UTM_FIELDS: ReadonlyMap<string, string> = new Map([
  ['utm_campaign', 'name'],
  ['utm_source', 'source'],
  ['utm_medium', 'medium'],
  ['utm_term', 'term'],
  ['utm_content', 'content'],
])

/** Segment's campaign object out of the utm_ parameters of an address; undefined when there are none. */
function campaignOf(url: URL): Record<string, string> | undefined {
  const found: Record<string, string> = {}
  for (const [key, value] of url.searchParams) {
    const field = UTM_FIELDS.get(key)
    // Percent-decoding can bring what no text column takes; the first of repeated parameters counts.
    if (field !== undefined && value !== '') found[field] ??= cut(value.replaceAll('\0', ''), 200)
  }
  return Object.keys(found).length === 0 ? undefined : found
}

function addPlace(context: JsonObject, sent: JsonObject, edge: EdgeFacts, landing: Landing): void {
  if (edge.country !== undefined || edge.city !== undefined) {
    const location: JsonObject = {}
    if (edge.country !== undefined) location.country = edge.country
    if (edge.city !== undefined) location.city = edge.city
    context.location = { ...location, ...sent }
  }
  // Some SDKs send a country's name: the session keeps codes only.
  const sentCountry = textOf(sent.country)
  const country = sentCountry !== undefined && sentCountry.length <= 8 ? sentCountry : edge.country
  if (country !== undefined && country.length <= 8) landing.country = country
}

/** Segment's `context.consent.categoryPreferences`: any refusal marks the event; all granted marks it given. */
function consentMarks(preferences: JsonObject): number {
  let given = 0
  for (const category in preferences) {
    if (preferences[category] === false) return MARKS.consentDenied
    if (preferences[category] === true) given = MARKS.consentGiven
  }
  return given
}

/** At most `chars` of a text, without half of a surrogate pair at its end. */
function cut(text: string, chars: number): string {
  if (text.length <= chars) return text
  const head = text.slice(0, chars)
  return head.isWellFormed() ? head : text.slice(0, chars - 1)
}

const NOTHING: JsonObject = Object.freeze({})

export function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : NOTHING
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
