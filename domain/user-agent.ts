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

const MAX_REMEMBERED = 2000
let remembered = new Map<string, UserAgent>()

export function readUserAgent(text: string): UserAgent {
  const known = remembered.get(text)
  if (known !== undefined) return known
  const parsed = new UAParser(text).getResult()
  const agent: UserAgent = {
    bot: isbot(text),
    device: parsed.device.type ?? (parsed.os.name === undefined ? 'unknown' : 'desktop'),
    ...(parsed.os.name === undefined ? {} : { os: parsed.os.name }),
    ...(parsed.browser.name === undefined ? {} : { browser: parsed.browser.name }),
  }
  if (remembered.size >= MAX_REMEMBERED) remembered = new Map()
  remembered.set(text, agent)
  return agent
}
