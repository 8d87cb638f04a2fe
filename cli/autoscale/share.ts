// Who may start processes when not all may: this machine has room for so many. Pure.

export type Ask = { pool: string; current: number; wanted: number }

/**
 * How many more each may start, together at most `room`. Everybody who wants more gets one before anybody gets a second;
 * of those with as many, who is shortest (wanted to current) comes first.
 */
export function shareRoom(asks: readonly Ask[], room: number): Map<string, number> {
  const granted = new Map(asks.map(({ pool }) => [pool, 0]))
  const shortest = () =>
    asks
      .map((ask) => ({ ...ask, got: granted.get(ask.pool) ?? 0 }))
      .filter(({ current, wanted, got }) => current + got < wanted)
      .sort((a, b) => a.got - b.got || b.wanted / (b.current + b.got) - a.wanted / (a.current + a.got))[0]
  for (let left = room; left > 0; left--) {
    const next = shortest()
    if (next === undefined) break
    granted.set(next.pool, next.got + 1)
  }
  return granted
}
