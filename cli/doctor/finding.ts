// What a check found, in plain words. `fail` = Millrace will not run well or will not start; `warn` = it runs, but look.

export type Finding = {
  check: string
  state: 'ok' | 'warn' | 'fail'
  text: string
  /** What to do about it; absent when nothing is wrong. */
  mend?: string
  /** `start` does the mending by itself. */
  startMends?: true
}

export const ok = (check: string, text: string): Finding => ({ check, state: 'ok', text })
export const warn = (check: string, text: string, mend: string): Finding => ({
  check,
  state: 'warn',
  text,
  mend,
})
export const bad = (check: string, text: string, mend: string): Finding => ({
  check,
  state: 'fail',
  text,
  mend,
})
