// One look for many who ask at once. Whoever asks while a look is under way shares the next one, not that one: it began
// before they asked, and what was committed in between would be missing from their answer.

/** `look` by key; at most one at a time a key. */
export function singleFlight<Key, Value>(look: (key: Key) => Promise<Value>): (key: Key) => Promise<Value> {
  type Flight = { running: Promise<Value>; next?: Promise<Value> }
  const flights = new Map<Key, Flight>()

  function start(key: Key): Promise<Value> {
    const flight: Flight = { running: look(key) }
    flights.set(key, flight)
    const end = () => {
      if (flight.next === undefined) flights.delete(key)
    }
    flight.running.then(end, end)
    return flight.running
  }

  return (key) => {
    const flight = flights.get(key)
    if (flight === undefined) return start(key)
    const again = () => start(key)
    flight.next ??= flight.running.then(again, again)
    return flight.next
  }
}
