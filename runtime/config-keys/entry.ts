// What one configuration key is made of. The tables beside this file hold the keys, runtime/config.ts reads them.

export type Kind = 'string' | 'int' | 'bool' | 'list' | 'url' | 'redis-url'
export type Entry = {
  /** Its name in the environment; carries the unit (`_MS`, `_BYTES`). */
  env: string
  kind: Kind
  default: string
  min?: number
  max?: number
  /** Never printed. */
  secret?: boolean
  why: string
}
