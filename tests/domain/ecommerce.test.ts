// Each e-commerce type as a Segment message that passes the checks of every event.
import { expect, test } from 'vitest'
import { ECOMMERCE_TYPES, toSegmentMessage } from '../../domain/ecommerce.ts'
import { checkEvent } from '../../domain/validate.ts'

const NAMES: Record<(typeof ECOMMERCE_TYPES)[number], string> = {
  SESSION_START: 'Session Started',
  SESSION_END: 'Session Ended',
  PAGE_VIEW: '',
  PRODUCT_VIEW: 'Product Viewed',
  ADD_TO_CART: 'Product Added',
  REMOVE_FROM_CART: 'Product Removed',
  PURCHASE: 'Order Completed',
  SEARCH: 'Products Searched',
  CLICK: 'Clicked',
  SCROLL: 'Scrolled',
}
const LIMITS = {
  pathType: undefined,
  oldestMs: 0,
  maxEventBytes: 32_768,
  requestBytes: 1,
  checkStrings: true,
}

for (const type of ECOMMERCE_TYPES) {
  test(`${type} becomes ${NAMES[type] === '' ? 'a page' : NAMES[type]}`, () => {
    const sent = {
      type,
      userId: 'u',
      messageId: 'm',
      properties: { a: 1 },
      context: { locale: 'de' },
      sessionId: 's',
    }
    const translated = toSegmentMessage(sent)
    const message = 'message' in translated ? translated.message : {}
    expect(message).toMatchObject({
      ...(type === 'PAGE_VIEW' ? { type: 'page' } : { type: 'track', event: NAMES[type] }),
      userId: 'u',
      messageId: 'm',
      properties: { a: 1 },
      context: { locale: 'de', sessionId: 's' },
    })
    expect(checkEvent(message, LIMITS, { checkStrings: true, chars: 0 })).toBeUndefined()
  })
}

test('what it cannot be made of is named', () => {
  expect(toSegmentMessage([])).toMatchObject({ field: '' })
  expect(toSegmentMessage({ type: 'constructor' })).toMatchObject({ field: 'type' })
  expect(toSegmentMessage({ type: 'CLICK', user_id: 'u' })).toMatchObject({ field: 'user_id' })
  expect(toSegmentMessage({ type: 'CLICK', sessionId: 7 })).toMatchObject({ field: 'sessionId' })
})
