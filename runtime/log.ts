// Structured logs as JSON lines on stdout. Callers pass ids, counts and codes, never names, addresses, traits,
// payloads or keys; `redact` is the net below that rule, not the rule.
import pino from 'pino'

export type Log = pino.Logger

/** A logger for one process; `level: 'silent'` for tests. `destination` is a file descriptor (1 = stdout). */
export function createLog(options: { level: string; service: string; destination?: number | string }): Log {
  return pino(
    {
      level: options.level,
      base: { service: options.service, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: [
          'email',
          'phone',
          'traits',
          'payload',
          'authorization',
          'password',
          'key',
          '*.email',
          '*.password',
        ],
        censor: '[redacted]',
      },
    },
    pino.destination({ dest: options.destination ?? 1, sync: false }),
  )
}
