// What a user agent says: device, system, browser, and whether it is a bot. Parsing is slow and there are few different
// strings, so answers are remembered in a bounded map. Deterministic; no I/O.
import { isbot } from 'isbot'
import UAParser from 'ua-parser-js'

export type UserAgent = {
  bot: boolean
  /** desktop, mobile, tablet, … */
  device: string
  os?: string
  browser?: string
}

/** Longer ones are made up; the part behind does not count. */
const MAX_CHARS = 512
/** Two generations: what was not asked for during a whole generation is forgotten. */
const GENERATION = 1000
let young = new Map<string, UserAgent>()
let old = new Map<string, UserAgent>()

export function readUserAgent(text: string): UserAgent {
  const key = text.length > MAX_CHARS ? text.slice(0, MAX_CHARS) : text
  const known = young.get(key)
  if (known !== undefined) return known
  const agent = old.get(key) ?? parse(key)
  if (young.size >= GENERATION) {
    old = young
    young = new Map()
  }
  young.set(key, agent)
  return agent
}

/**
 * Whether the User-Agent header of a request speaks for the person: browsers and crawlers do; HTTP libraries of server
 * and mobile SDKs say nothing about who used the app, and would all look like bots.
 */
export function isOfPerson(header: string): boolean {
  return header.startsWith('Mozilla/') || header.startsWith('Opera/') || /bot\b|crawl|spider/i.test(header)
}

function parse(text: string): UserAgent {
  const parsed = new UAParser(text).getResult()
  return {
    bot: isbot(text),
    device: parsed.device.type ?? (parsed.os.name === undefined ? 'unknown' : 'desktop'),
    ...(parsed.os.name === undefined ? {} : { os: parsed.os.name }),
    ...(parsed.browser.name === undefined ? {} : { browser: parsed.browser.name }),
  }
}
