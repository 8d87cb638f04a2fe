// soak: two thirds of the rate for hours (-e RATE, -e SECONDS=28800): what grows must be found by then.
import { optionsFor } from './mix.ts'
import { constant } from './shapes.ts'

export { admin, batches, reads, singles, spenders } from './journey.ts'

const twoThirds: typeof constant = (perSecond, seconds) => constant((perSecond * 2) / 3, seconds)

export const options = optionsFor(twoThirds, (seconds) => seconds, {
  shed: ['rate==0'],
  dropped_iterations: ['count==0'],
  'http_req_duration{kind:write}': ['p(95)<100', 'p(99)<250'],
})
