// One look for many: nobody gets the answer of a look that began before they asked.
import { expect, test } from 'vitest'
import { singleFlight } from '../../runtime/single-flight.ts'

function looks() {
  const open: { key: string; answer(value: number): void; break(): void }[] = []
  const ask = singleFlight(
    (key: string) =>
      new Promise<number>((resolve, reject) => {
        open.push({ key, answer: resolve, break: () => reject(new Error('broken')) })
      }),
  )
  return { ask, open }
}
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('who asks during a look waits for the next one, which they share', async () => {
  const { ask, open } = looks()
  const first = ask('a')
  const later = [ask('a'), ask('a')]
  expect(open).toHaveLength(1)
  open[0]?.answer(1)
  expect(await first).toBe(1)
  await turn()
  expect(open).toHaveLength(2)
  open[1]?.answer(2)
  expect(await Promise.all(later)).toEqual([2, 2])
  const afterwards = ask('a')
  await turn()
  expect(open).toHaveLength(3)
  open[2]?.answer(3)
  expect(await afterwards).toBe(3)
})

test('keys do not wait for each other, and a look that fails does not fail the next', async () => {
  const { ask, open } = looks()
  const broken = ask('a')
  const next = ask('a')
  const other = ask('b')
  expect(open.map(({ key }) => key)).toEqual(['a', 'b'])
  open[1]?.answer(5)
  expect(await other).toBe(5)
  open[0]?.break()
  await expect(broken).rejects.toThrow('broken')
  await turn()
  open[2]?.answer(6)
  expect(await next).toBe(6)
})
