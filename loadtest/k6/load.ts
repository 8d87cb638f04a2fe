// load: the rate that is expected, for ten minutes (-e SECONDS=600): latencies as the service levels promise them.
import { optionsFor } from './mix.ts'
import { constant } from './shapes.ts'

export { admin, batches, reads, singles, spenders } from './journey.ts'

export const options = optionsFor(constant, (seconds) => seconds, {
  shed: ['rate<0.01'],
  dropped_iterations: ['count==0'],
  'http_req_duration{kind:write}': ['p(95)<100', 'p(99)<250'],
  'http_req_duration{kind:read}': ['p(95)<250'],
  accepted_to_visible: ['p(99)<5000'],
})
