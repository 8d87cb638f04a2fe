// Redis that is silent makes one reader wait for a moment, and the next ones not at all.
import { expect, test } from 'vitest'
import { createAsker } from '../../cache/ask.ts'
import { openCache } from '../../cache/connect.ts'

const connected = openCache({ status: 'ready' } as never, 'n')

test('after a silence nobody is asked for a second, and a refusal counts as one', async () => {
  for (const silence of [() => new Promise<number>(() => {}), () => Promise.reject(new Error('OOM'))]) {
    const asker = createAsker(connected)
    expect(await asker.ask(async () => 7)).toEqual({ value: 7, isAway: false })
    expect(await asker.ask(async () => undefined)).toEqual({ value: undefined, isAway: false })
    expect(await asker.ask(silence)).toEqual({ value: undefined, isAway: true })
    let asked = 0
    const question = async () => {
      asked += 1
      return asked
    }
    expect(await asker.ask(question)).toEqual({ value: undefined, isAway: true })
    asker.tell(question)
    expect(asked).toBe(0)
  }
})

test('a connection that is not there is not asked', async () => {
  const asker = createAsker(openCache({ status: 'reconnecting' } as never, 'n'))
  let asked = 0
  expect(await asker.ask(async () => ++asked)).toEqual({ value: undefined, isAway: true })
  expect(asked).toBe(0)
})
