// spike: a quarter of the rate, then all of it within ten seconds, and back: what is not taken is sent away politely.
import { optionsFor } from './mix.ts'
import { spike } from './shapes.ts'

export { admin, batches, reads, singles, spenders } from './journey.ts'

export const options = optionsFor(spike, (seconds) => 2 * seconds + 20, {
  shed: ['rate<0.5'],
  'http_req_duration{kind:write}': ['p(99)<3000'],
})
