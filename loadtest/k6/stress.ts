// stress: half to one and a half of the rate in five steps, to see where latency bends. No limit on latency: it is the result.
import { optionsFor } from './mix.ts'
import { stress } from './shapes.ts'

export { admin, batches, reads, singles, spenders } from './journey.ts'

export const options = optionsFor(stress, (seconds) => seconds + 25, { shed: ['rate<0.5'] })
