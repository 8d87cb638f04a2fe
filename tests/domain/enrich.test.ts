// What is found out about an event beyond what it says, and that nothing it says is overwritten.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { enrich } from '../../domain/enrich.ts'
import { MARKS } from '../../schema/event.ts'

const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1'
const GOOGLEBOT = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)'

describe('the user agent', () => {
  test('gives device and system under Segment’s names', () => {
    const { context, landing, marks } = enrich({}, { userAgent: IPHONE })
    expect(context).toMatchObject({ userAgent: IPHONE, device: { type: 'mobile' }, os: { name: 'iOS' } })
    expect(landing.device).toBe('mobile')
    expect(marks).toBe(0)
  })

  test('of the context goes before that of the request', () => {
    expect(enrich({ userAgent: IPHONE }, { userAgent: GOOGLEBOT }).marks).toBe(0)
  })

  test('of a bot marks the event, wherever it is said', () => {
    expect(enrich({ userAgent: 'Googlebot/2.1' }, {}).marks).toBe(MARKS.bot)
    expect(enrich({}, { userAgent: GOOGLEBOT }).marks).toBe(MARKS.bot)
    expect(enrich({}, { userAgent: 'AdsBot-Google (+http://www.google.com/adsbot.html)' }).marks).toBe(
      MARKS.bot,
    )
  })

  test('of a server’s HTTP library says nothing about the person', () => {
    for (const userAgent of [
      'analytics-node/3.1.0',
      'node',
      'python-requests/2.31',
      'okhttp/4.9',
      'curl/8',
    ]) {
      const { context, marks, landing } = enrich({}, { userAgent })
      expect([context, marks, landing]).toEqual([{}, 0, {}])
    }
  })
})

describe('the page', () => {
  test('gives campaign, landing page and the host it was reached from', () => {
    const url = 'https://shop.example/sale?utm_campaign=spring%20sale&utm_source=mail&utm_campaign=second#x'
    const { context, landing } = enrich({ page: { url, referrer: 'https://News.example:8443/a?b' } }, {})
    expect(context.campaign).toEqual({ name: 'spring sale', source: 'mail' })
    expect(context.referrer).toEqual({ domain: 'news.example' })
    expect(landing).toEqual({ page: '/sale', campaign: 'spring sale' })
  })

  test('lets a campaign that was sent stand', () => {
    const url = 'https://shop.example/?utm_campaign=a&utm_medium=email'
    const { context, landing } = enrich({ page: { url, path: '/x' }, campaign: { name: 'b' } }, {})
    expect(context.campaign).toEqual({ name: 'b', medium: 'email' })
    expect(landing).toEqual({ page: '/x', campaign: 'b' })
  })

  test('cannot bring in what a text column refuses', () => {
    const url = `https://shop.example/?utm_campaign=a%00b&utm_source=${'%F0%9F%98%80'.repeat(200)}x`
    const { context, landing } = enrich({ page: { url } }, {})
    expect(landing.campaign).toBe('ab')
    expect(JSON.stringify(context.campaign)).not.toContain('u0000')
    expect(JSON.stringify(context.campaign).isWellFormed()).toBe(true)
  })
})

test('place, address and locale come from the edge where the event has none', () => {
  const edge = { ip: '203.0.113.0', country: 'SE', city: 'Malmö' }
  const found = enrich({ locale: 'sv-SE' }, edge)
  expect(found.context).toMatchObject({ ip: '203.0.113.0', location: { country: 'SE', city: 'Malmö' } })
  expect(found.landing).toEqual({ country: 'SE', locale: 'sv-SE' })
  const sent = enrich({ ip: '192.0.2.1', location: { country: 'United Kingdom' } }, edge)
  expect(sent.context).toMatchObject({ ip: '192.0.2.1', location: { country: 'United Kingdom' } })
  expect(sent.landing.country).toBe('SE')
})

test('Sec-GPC and consent are marks: one refused category is a refusal', () => {
  const consent = (categoryPreferences: unknown) => enrich({ consent: { categoryPreferences } }, {}).marks
  expect(enrich({}, { gpc: true }).marks).toBe(MARKS.gpc)
  expect(consent({ Advertising: true, Analytics: false })).toBe(MARKS.consentDenied)
  expect(consent({ Advertising: true })).toBe(MARKS.consentGiven)
  expect(consent({})).toBe(0)
  expect(consent({ Advertising: 'yes' })).toBe(0)
  expect(consent('all')).toBe(0)
})

test('nothing that was sent is lost or changed, whatever it is', () => {
  const sent = fc.dictionary(
    fc.oneof(
      fc.string(),
      fc.constantFrom(
        'userAgent',
        'device',
        'os',
        'page',
        'campaign',
        'location',
        'consent',
        'ip',
        'referrer',
      ),
    ),
    fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.dictionary(fc.constantFrom('url', 'type', 'name', 'path', 'country'), fc.webUrl()),
    ),
  )
  fc.assert(
    fc.property(sent, (context) => {
      const edge = { ip: '10.0.0.0', userAgent: IPHONE, country: 'SE', gpc: true }
      const found = enrich(context, edge).context
      for (const [name, value] of Object.entries(context)) {
        if (typeof value === 'object' && value !== null && !Array.isArray(value))
          expect(found[name]).toMatchObject(value)
        else if (value !== null && (typeof value === 'string' || typeof found[name] !== 'object')) {
          if (!['device', 'os', 'campaign', 'location'].includes(name)) expect(found[name]).toEqual(value)
        }
      }
    }),
  )
})
