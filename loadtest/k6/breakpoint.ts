// breakpoint: up to five times the rate, ended where the generator cannot keep up or a tenth is sent away: the rate reached
// then is what this deployment carries.
import { optionsFor } from './mix.ts'
import { breakpoint } from './shapes.ts'

export { admin, batches, reads, singles, spenders } from './journey.ts'

export const options = optionsFor(breakpoint, (seconds) => seconds + 1, {
  dropped_iterations: [{ threshold: 'count<100', abortOnFail: true, delayAbortEval: '10s' }],
  shed: [{ threshold: 'rate<0.1', abortOnFail: true, delayAbortEval: '10s' }],
})
