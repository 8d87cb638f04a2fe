// backpressure: twice what can be carried (-e RATE is that), then a quarter: the door closes, nothing accepted is lost, and
// it opens again.
import { optionsFor } from './mix.ts'
import { backpressure } from './shapes.ts'

export { admin, batches, reads, singles, spenders } from './journey.ts'

export const options = optionsFor(backpressure, (seconds) => 2 * seconds + 10, {
  // Sheds are what is tested here; that each says when to come back is a check of every test.
  'http_req_duration{kind:write}': ['p(99)<5000'],
})
