// The people of the demo's generated shop: who they are, what they buy and on which devices. Called by shop.ts. All of
// it is made up: addresses at example.com, telephone numbers out of the range that is kept for fiction.
import { createRandom, type Random } from './random.ts'

const DAY_MS = 86_400_000

/**
 * How a person buys; ranges count orders. Only `devoted` people are in the demo's segment (more than $1,000 and more than
 * 5 orders in the last 30 days). The others are there to catch a rule that is wrong: `thrifty` and `lavish` meet one half
 * of it, `lapsed` met both halves before the window.
 */
export const HABITS = {
  devoted: { share: 0.065, recent: [7, 11], earlier: [0, 4] },
  thrifty: { share: 0.03, recent: [6, 9], earlier: [0, 2] },
  lavish: { share: 0.03, recent: [3, 5], earlier: [0, 3] },
  lapsed: { share: 0.04, recent: [0, 1], earlier: [7, 10] },
  casual: { share: 0.3, recent: [0, 2], earlier: [0, 2] },
  browser: { share: 1, recent: [0, 0], earlier: [0, 0] },
} as const satisfies Record<string, { share: number; recent: [number, number]; earlier: [number, number] }>
export type Habit = keyof typeof HABITS

export type Client = {
  kind: 'web' | 'app'
  userAgent: string
  device: string
  library: { name: string; version: string }
}

export type Device = {
  anonymousId: string
  client: Client
  /** False: nobody ever logs in here, so it stays a profile of its own. */
  logsIn: boolean
  /** The visit on this device in which its owner logs in, counted from 0; earlier when something is bought. */
  loginVisit: number
}

export type Person = {
  userId: string
  habit: Habit
  traits: Record<string, string>
  /** Account age at the end of the shop's days; `createdAt` follows from it. */
  accountAgeMs: number
  /** The company of a person who shops for one. */
  company: { id: string; name: string; employees: number } | undefined
  locale: string
  timezone: string
  devices: Device[]
}

const FIRST_NAMES = (
  'Ada Amir Beatriz Carlos Chiara Daniel Elif Emma Farah Felix Grace Hana Hugo Ines Ivan Jana Jonas Kofi Lena Liam ' +
  'Lucia Maja Marco Mei Nadia Nora Omar Paula Priya Rosa Samir Sofia Tariq Tessa Viktor Wei Yara Yusuf Zoe'
).split(' ')
const LAST_NAMES = (
  'Abbott Alvarez Andersen Baker Bianchi Costa Dubois Eriksen Fischer Garcia Haddad Ito Jensen Kaya Keller Kowalski ' +
  'Lopez Martin Mensah Moreau Murphy Nakamura Novak Okafor Patel Quinn Rossi Santos Schmidt Silva Taylor Tran Vogel Wong'
).split(' ')
const PLACES = [
  { country: 'US', locale: 'en-US', timezone: 'America/New_York' },
  { country: 'US', locale: 'en-US', timezone: 'America/Chicago' },
  { country: 'GB', locale: 'en-GB', timezone: 'Europe/London' },
  { country: 'DE', locale: 'de-DE', timezone: 'Europe/Berlin' },
  { country: 'FR', locale: 'fr-FR', timezone: 'Europe/Paris' },
  { country: 'ES', locale: 'es-ES', timezone: 'Europe/Madrid' },
  { country: 'BR', locale: 'pt-BR', timezone: 'America/Sao_Paulo' },
]
const PLANS = ['free', 'free', 'free', 'plus', 'premium']
const AREA_CODES = [202, 212, 303, 312, 404, 415, 503, 617, 702, 818]

const ANALYTICS_JS = { name: 'analytics.js', version: 'next-1.84.3' }
const WEB_CLIENTS: Client[] = [
  'Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15',
  'Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0',
  'X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
].map((agent) => ({
  kind: 'web',
  userAgent: `Mozilla/5.0 (${agent}`,
  device: 'desktop',
  library: ANALYTICS_JS,
}))
const PHONE_CLIENTS: Client[] = [
  {
    kind: 'web',
    userAgent:
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1',
    device: 'iPhone',
    library: ANALYTICS_JS,
  },
  {
    kind: 'app',
    userAgent: 'MillShop/4.2.0 (iPhone; iOS 26.1; Scale/3.00)',
    device: 'iPhone17,1',
    library: { name: 'analytics-swift', version: '1.9.1' },
  },
  {
    kind: 'app',
    userAgent: 'Dalvik/2.1.0 (Linux; U; Android 16; Pixel 9 Build/BP3A.250905.014)',
    device: 'Pixel 9',
    library: { name: 'analytics-kotlin', version: '1.21.0' },
  },
]

/**
 * `count` people with ids `user-0001`…. Each has one or two devices and logs in on the first; some second devices stay
 * anonymous, about 8 % of all devices. Habits and missing addresses come in fixed shares, whatever the seed.
 */
export function generatePeople(seed: number, count: number): Person[] {
  const random = createRandom(seed, 'people')
  const seats = random.shuffle(Array.from({ length: count }, (_, index) => index))
  const habits = habitSeats(count)
  return seats.map((seat, index) => makePerson(random, index, seat, habits[seat] ?? 'browser'))
}

/** The habit of each seat: `share` of the seats to each, browsers get the rest. */
function habitSeats(count: number): Habit[] {
  const habits = Object.entries(HABITS).flatMap(([name, habit]) =>
    Array.from({ length: Math.round(habit.share * count) }, () => name),
  )
  return habits.slice(0, count).filter(isHabit)
}

function isHabit(name: string): name is Habit {
  return name in HABITS
}

function makePerson(random: Random, index: number, seat: number, habit: Habit): Person {
  const number = String(index + 1).padStart(4, '0')
  const firstName = random.pick(FIRST_NAMES)
  const lastName = random.pick(LAST_NAMES)
  const { country, locale, timezone } = random.pick(PLACES)
  const area = AREA_CODES[index % AREA_CODES.length] ?? 202
  const phone = `+1${area}55501${String(Math.floor(index / AREA_CODES.length) % 100).padStart(2, '0')}`
  const email = `${firstName}.${lastName}.${number}@example.com`.toLowerCase()
  const pushToken = `demo-${random.hex(22)}:APA91b${random.hex(64)}`
  return {
    userId: `user-${number}`,
    habit,
    // Every identify of a person carries all of these: what can be delivered to them never depends on which of
    // their messages came first.
    traits: {
      ...(seat % 15 === 7 ? {} : { email }),
      firstName,
      lastName,
      country,
      plan: random.pick(PLANS),
      ...(seat % 4 === 1 ? {} : { pushToken }),
      phone,
    },
    accountAgeMs: random.int(60, 900) * DAY_MS + random.int(0, DAY_MS - 1),
    company: random.chance(0.04)
      ? {
          id: `company-${number}`,
          name: `${lastName} ${random.pick(['Studio', 'Catering', 'Interiors'])}`,
          employees: random.int(2, 60),
        }
      : undefined,
    locale,
    timezone,
    devices: makeDevices(random),
  }
}

function makeDevices(random: Random): Device[] {
  const phoneFirst = random.chance(0.5)
  const first: Device = {
    anonymousId: random.uuid(),
    client: random.pick(phoneFirst ? PHONE_CLIENTS : WEB_CLIENTS),
    logsIn: true,
    loginVisit: random.int(0, 2),
  }
  if (!random.chance(0.45)) return [first]
  const second: Device = {
    anonymousId: random.uuid(),
    client: random.pick(phoneFirst ? WEB_CLIENTS : PHONE_CLIENTS),
    // A quarter of the second devices is 8 % of all.
    logsIn: !random.chance(0.26),
    loginVisit: random.int(0, 1),
  }
  return [first, second]
}
