// backpressure: twice what can be carried (-e RATE is that), then a quarter: the door closes, nothing accepted is lost, and
// it opens again.
import { optionsFor } from './mix.ts'
import { backpressure } from './shapes.ts'

export { admin, batches, reads, singles, spenders } from './journey.ts'

export const options = optionsFor(backpressure, (seconds) => 2 * seconds + 10, {
  // Sheds are what is tested here: without them the rate was no pressure. That each says when to come back is checked everywhere.
  shed: ['rate>0.001'],
  'http_req_duration{kind:write}': ['p(99)<5000'],
})
