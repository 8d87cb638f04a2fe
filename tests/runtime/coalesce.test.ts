// The rule of group commit: when a group leaves, what it holds, and that small groups never leave side by side.
import { expect, test, vi } from 'vitest'
import { coalesce } from '../../runtime/coalesce.ts'

/** Flushes that end when told to; `sizes` is what each took, in order. */
function stepwise() {
  const sizes: number[] = []
  const open: (() => void)[] = []
  return {
    sizes,
    flush: (items: string[]) => {
      sizes.push(items.length)
      return new Promise<void>((resolve) => open.push(resolve))
    },
    endFirst: () => open.shift()?.(),
  }
}

const soon = (ms = 40) => new Promise((resolve) => setTimeout(resolve, ms))

test('what arrives during a flush leaves as one group after it, without waiting again', async () => {
  const { sizes, flush, endFirst } = stepwise()
  const groups = coalesce({ maxWeight: 100, maxWaitMs: 5, parallel: 4, flush })
  const first = groups.add('a', 1)
  await soon()
  const later = ['b', 'c', 'd'].map((item) => groups.add(item, 1))
  await soon()
  expect(sizes).toEqual([1])
  endFirst()
  await first
  await Promise.resolve()
  expect(sizes).toEqual([1, 3])
  endFirst()
  await Promise.all(later)
})

test('between the two bounds a group gathers for three times what the last flush took', async () => {
  const { sizes, flush, endFirst } = stepwise()
  const groups = coalesce({ maxWeight: 100, minWaitMs: 5, maxWaitMs: 10_000, parallel: 1, flush })
  const slow = groups.add('a', 1)
  await soon(100)
  expect(sizes).toEqual([1])
  endFirst()
  await slow
  const next = groups.add('b', 1)
  await soon(60)
  expect(sizes).toEqual([1])
  await vi.waitFor(() => expect(sizes).toEqual([1, 1]))
  endFirst()
  await next
})

test('full groups leave side by side, up to the bound', async () => {
  const { sizes, flush, endFirst } = stepwise()
  const groups = coalesce({ maxWeight: 2, maxWaitMs: 5, parallel: 2, flush })
  const added = ['a', 'b', 'c', 'd', 'e', 'f'].map((item) => groups.add(item, 1))
  await soon()
  expect(sizes).toEqual([2, 2])
  for (let i = 0; i < 3; i++) {
    endFirst()
    await soon(5)
  }
  await Promise.all(added)
  expect(sizes).toEqual([2, 2, 2])
})

test('close flushes what waits, and a failed flush rejects only its own', async () => {
  let round = 0
  const groups = coalesce<string>({
    maxWeight: 100,
    maxWaitMs: 5,
    parallel: 1,
    flush: async () => {
      round += 1
      await soon(10)
      if (round === 1) throw new Error('the first')
    },
  })
  const first = groups.add('a', 1).catch((error: Error) => error.message)
  await soon(8)
  const second = groups.add('b', 1)
  await groups.close()
  expect(await first).toBe('the first')
  await second
})
