// Signals: whoever waits is woken, nobody misses one that was raised meanwhile, and nobody waits for ever.
import { expect, test } from 'vitest'
import { createSignal } from '../../runtime/signal.ts'

test('a signal wakes all who wait, and those who come late by the count they last saw', async () => {
  const signal = createSignal()
  const seen = signal.count()
  const woken = Promise.all([signal.wait(seen, 60_000), signal.wait(seen, 60_000)])
  signal.raise()
  await woken
  await signal.wait(seen, 60_000)
  expect(signal.count()).toBe(seen + 1)
})

test('a wait that nobody ends is over after its time', async () => {
  const signal = createSignal()
  await signal.wait(signal.count(), 20)
  expect(signal.count()).toBe(0)
})
