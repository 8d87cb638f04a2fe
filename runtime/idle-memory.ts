// Memory goes back to the system after a burst: V8 collects when it allocates, so a process that falls silent keeps the
// heap of its busiest minute. Started by the processes of cli/; never collects while there is work.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const LOOK_EVERY_MS = 5000
/** Of one core, between two looks: less is idle, and what an idle process allocates is not worth a collection. */
const IDLE_SHARE = 0.02
const IDLE_LOOKS = 2
/** What the first collection empties, the next one gives back. */
const COLLECTIONS = 2

/** Collects each time the process has been idle for 10 s after it was not; does not keep the process alive. */
export function releaseWhenIdle(): { stop(): void } {
  setFlagsFromString('--expose-gc')
  // A collection at rest makes V8 expect a small heap: three full collections a second under the next load, which cost
  // the collector 4 µs an event. Let the heap grow to three times what lives before the next one instead.
  setFlagsFromString('--heap-growing-percent=200')
  const collect: NodeJS.GCFunction = runInNewContext('gc')
  let before = process.cpuUsage()
  let idleLooks = 0
  // What starting up left behind goes as well.
  let owes = true
  const timer = setInterval(() => {
    const used = process.cpuUsage(before)
    before = process.cpuUsage()
    const isIdle = (used.user + used.system) / 1000 < LOOK_EVERY_MS * IDLE_SHARE
    idleLooks = isIdle ? idleLooks + 1 : 0
    if (!isIdle) owes = true
    if (!owes || idleLooks < IDLE_LOOKS) return
    owes = idleLooks < IDLE_LOOKS + COLLECTIONS - 1
    collect()
    before = process.cpuUsage()
  }, LOOK_EVERY_MS)
  timer.unref()
  return { stop: () => clearInterval(timer) }
}
