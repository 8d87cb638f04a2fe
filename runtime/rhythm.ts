// The rhythm of a process at rest. What looks every so often looks in step: at multiples of its period since the process
// started, so that many lookers wake a resting process once instead of each by itself. A wake-up costs 0.3 to 4 ms of
// CPU on a virtual machine, far more than most of the looks. Processes are not in step with each other: a thousand of
// them would ask Redis at once.

/** Calls `look` every `periodMs`, in step; does not keep the process alive. The first call comes within a period. */
export function inStep(periodMs: number, look: () => void): { stop(): void } {
  let timer: NodeJS.Timeout
  const arm = () => {
    timer = setTimeout(() => {
      arm()
      look()
    }, untilStep(periodMs))
    timer.unref()
  }
  arm()
  return { stop: () => clearTimeout(timer) }
}

/** A timer may fire so much early: the step that it was for does not come again. */
const EARLY_MS = 2

/** Milliseconds until the next multiple of `periodMs`. */
export function untilStep(periodMs: number, nowMs = performance.now()): number {
  const waitMs = periodMs - (nowMs % periodMs)
  return waitMs < EARLY_MS ? waitMs + periodMs : waitMs
}
