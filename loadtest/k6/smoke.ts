// smoke: does it work at all? Half a minute at a low rate; nothing may be refused, nothing may be late.
import { optionsFor } from './mix.ts'
import { constant } from './shapes.ts'

export { admin, batches, reads, singles, spenders } from './journey.ts'

export const options = optionsFor(constant, (seconds) => seconds, {
  shed: ['rate==0'],
  dropped_iterations: ['count==0'],
  'http_req_duration{kind:write}': ['p(99)<1000'],
})
