// The processes that the autoscaler has started beside those that ran before: how many a pool has, one more, one less. Owns
// them; `stop` ends them all. In a dry run they are only counted.
import { describeError } from '../../runtime/errors.ts'

/** A process that can be told to end; resolves when it has. */
export type Extra = { stop(): Promise<void> }

export type Extras = {
  /** Asked for, and of those how many work. */
  of(pool: string): { asked: number; ready: number }
  total(): number
  /** Starts (by > 0) or ends (by < 0) so many; both go on behind. */
  change(pool: string, by: number): void
  stop(): Promise<void>
}

type Members = { ready: Extra[]; starting: number }

export function openExtras(options: {
  /** Starts a process of a pool. */
  start(pool: string): Promise<Extra>
  dryRun: boolean
  /** Hears of a process that could not be started. */
  onFailure(pool: string, reason: string): void
}): Extras {
  const pools = new Map<string, Members>()
  const underWay = new Set<Promise<void>>()
  let stopping = false

  const membersOf = (pool: string): Members => {
    const known = pools.get(pool) ?? { ready: [], starting: 0 }
    pools.set(pool, known)
    return known
  }
  const track = (work: Promise<void>) => {
    underWay.add(work)
    void work.finally(() => underWay.delete(work))
  }
  const startOne = async (pool: string, members: Members) => {
    members.starting += 1
    try {
      const extra = await (options.dryRun ? IMAGINED : options.start(pool))
      if (stopping) await extra.stop()
      else members.ready.push(extra)
    } catch (error) {
      options.onFailure(pool, describeError(error))
    } finally {
      members.starting -= 1
    }
  }
  return {
    of(pool) {
      const { ready, starting } = membersOf(pool)
      return { asked: ready.length + starting, ready: ready.length }
    },
    total: () => [...pools.values()].reduce((sum, one) => sum + one.ready.length + one.starting, 0),
    change(pool, by) {
      const members = membersOf(pool)
      for (let i = 0; i < by; i++) track(startOne(pool, members))
      // The newest first. One that only starts is left to come up: the next look decides again.
      for (let i = 0; i > by; i--) {
        const extra = members.ready.pop()
        if (extra !== undefined) track(extra.stop())
      }
    },
    async stop() {
      stopping = true
      while (underWay.size > 0) await Promise.all(underWay)
      await Promise.all([...pools.values()].flatMap(({ ready }) => ready.splice(0).map((one) => one.stop())))
    },
  }
}

const IMAGINED: Extra = { stop: async () => {} }
