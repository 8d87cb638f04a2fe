// The quarantine alone: who waits, who goes back, and that it ends.
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { RetryLater } from '../../runtime/errors.ts'
import { createQuarantine } from '../../workers/quarantine.ts'

function twoWorkers() {
  const log: string[] = []
  const present = { a: 0, b: 0 }
  const worker = (name: 'a' | 'b') => ({
    pause: async () => void log.push(`${name} paused`),
    resume: async () => void log.push(`${name} resumed`),
    held: () => present[name],
  })
  const during = async (name: 'a' | 'b', job: () => Promise<void>) => {
    present[name]++
    await job().finally(() => present[name]--)
  }
  const quarantine = createQuarantine()
  quarantine.add(worker('a'))
  quarantine.add(worker('b'))
  return { quarantine, log, during }
}

test('a suspect waits until the jobs that are present have left, and no other begins meanwhile', async () => {
  const { quarantine, log, during } = twoWorkers()
  const neighbour = Promise.withResolvers<void>()
  const suspect = Promise.withResolvers<void>()
  const beside = during('a', async () => {
    await neighbour.promise
    log.push('neighbour left')
  })
  const alone = during('b', () =>
    quarantine.alone(async () => {
      log.push('suspect runs')
      await suspect.promise
    }),
  )
  await sleep(50)
  expect(log).toEqual(['a paused', 'b paused'])
  expect(() => quarantine.passOrGoBack()).toThrow(RetryLater)
  await expect(quarantine.alone(async () => {})).rejects.toThrow(RetryLater)
  neighbour.resolve()
  await beside
  await sleep(50)
  expect(log.slice(2)).toEqual(['neighbour left', 'suspect runs'])
  expect(() => quarantine.passOrGoBack()).toThrow(RetryLater)
  suspect.resolve()
  await alone
  expect(log.slice(4)).toEqual(['a resumed', 'b resumed'])
  quarantine.passOrGoBack()
})

test('a suspect that fails sets the others free, and one that takes long does so after ten seconds', async () => {
  const { quarantine, log, during } = twoWorkers()
  const failed = quarantine.alone(async () => {
    throw new Error('no')
  })
  await expect(failed).rejects.toThrow('no')
  expect(log).toEqual(['a paused', 'b paused', 'a resumed', 'b resumed'])
  vi.useFakeTimers()
  try {
    const slow = Promise.withResolvers<void>()
    const alone = during('b', () => quarantine.alone(() => slow.promise))
    await vi.advanceTimersByTimeAsync(9_900)
    expect(() => quarantine.passOrGoBack()).toThrow(RetryLater)
    await vi.advanceTimersByTimeAsync(200)
    quarantine.passOrGoBack()
    expect(log.filter((line) => line.endsWith('resumed'))).toHaveLength(4)
    slow.resolve()
    await alone
    expect(log.filter((line) => line.endsWith('resumed'))).toHaveLength(4)
  } finally {
    vi.useRealTimers()
  }
})
