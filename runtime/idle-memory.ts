// Memory goes back to the system after a burst: V8 collects when it allocates, so a process that falls silent keeps the
// heap of its busiest minute. Started by the processes of cli/; never collects while there is work.
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { untilStep } from './rhythm.ts'

const LOOK_EVERY_MS = 5000
/** When there is nothing to give back any more: to look is a wake-up too. */
const SETTLED_LOOK_MS = 30_000
/** Of one core, between two looks: less is idle. */
const IDLE_SHARE = 0.1
const IDLE_LOOKS = 2
/** What the first collection empties, the next one gives back. */
const COLLECTIONS = 2
/** Timers and polling leave some MB a minute in an idle process: so much more than after the last collection is worth one. */
const GROWN_BYTES = 6 * 1024 * 1024

/** Collects when the process has been idle for 10 s after it was not, and as often as its idling asks for; does not keep it alive. */
export function releaseWhenIdle(): { stop(): void } {
  setFlagsFromString('--expose-gc')
  // A collection at rest makes V8 expect a small heap: three full collections a second under the next load, which cost
  // the collector 4 µs an event. Let the heap grow to three times what lives before the next one instead.
  setFlagsFromString('--heap-growing-percent=200')
  const collect: NodeJS.GCFunction = runInNewContext('gc')
  let before = process.cpuUsage()
  let idleLooks = 0
  // What starting up left behind goes as well.
  let owed = COLLECTIONS
  let usedAfter = 0
  let lookMs = LOOK_EVERY_MS
  let timer: NodeJS.Timeout
  const look = () => {
    const used = process.cpuUsage(before)
    before = process.cpuUsage()
    const isIdle = (used.user + used.system) / 1000 < lookMs * IDLE_SHARE
    idleLooks = isIdle ? idleLooks + 1 : 0
    if (!isIdle) owed = COLLECTIONS
    const grown = getHeapStatistics().used_heap_size > usedAfter + GROWN_BYTES
    if (idleLooks >= IDLE_LOOKS && (owed > 0 || grown)) {
      // Unlike a plain full collection it also gives up the bytecode of what ran only while starting, and the pages
      // that are empty: 20 to 40 MB of a pool's process, for 50 ms.
      if (owed > 0) collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
      else collect()
      owed = Math.max(0, owed - 1)
      usedAfter = getHeapStatistics().used_heap_size
      before = process.cpuUsage()
    }
    lookMs = owed === 0 ? SETTLED_LOOK_MS : LOOK_EVERY_MS
    timer = setTimeout(look, untilStep(lookMs))
    timer.unref()
  }
  timer = setTimeout(look, untilStep(lookMs))
  timer.unref()
  return { stop: () => clearTimeout(timer) }
}
