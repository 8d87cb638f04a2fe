// The autoscaler of one machine: for every look it decides by the rule of domain/autoscale.ts how many processes each pool
// should have, and starts or stops its own. Those that `millrace start` runs are the minimum and never touched. Owns the
// children it started; `stop` ends them all.
import {
  decideReplicas,
  type HeldBy,
  limitsOf,
  NO_HISTORY,
  type PoolLoad,
  recommend,
  type ScalingHistory,
  type Signal,
} from '../../domain/autoscale.ts'
import type { Behaviour } from '../../domain/scaling.ts'
import { describeError } from '../../runtime/errors.ts'
import type { SeenPool } from './pools.ts'
import { shareRoom } from './share.ts'

/** A process that can be told to end; resolves when it has. */
export type Extra = { stop(): Promise<void> }

export type PoolDecision = {
  pool: string
  load: PoolLoad
  from: number
  to: number
  /** What the rule asks for within the pool's limits, before this machine's. */
  wanted: number
  signal: Signal | null
  heldBy: HeldBy | 'machine' | null
}

export type Scaler = {
  /** Decides on one look and acts on it; in a dry run nothing is started. */
  decide(pools: SeenPool[], atSeconds: number): PoolDecision[]
  /** Resolves when what was started or told to end so far has. */
  settled(): Promise<void>
  stop(): Promise<void>
}

type Member = {
  /** Processes that ran before: the minimum. */
  base: number
  ready: Extra[]
  starting: number
  /** In a dry run: how many there would be beside the base. */
  imagined: number
  history: ScalingHistory
}

export function openScaler(options: {
  /** Starts a process of a pool. */
  start(pool: string): Promise<Extra>
  /** Processes that may be started here, of all pools together. */
  maxProcesses: number
  shards: number
  behaviour: Behaviour
  dryRun: boolean
  /** Hears of a process that could not be started. */
  onFailure(pool: string, reason: string): void
}): Scaler {
  const members = new Map<string, Member>()
  const underWay = new Set<Promise<void>>()
  let stopping = false

  const extrasOf = (member: Member) => member.ready.length + member.starting + member.imagined
  const memberOf = ({ scaling, processes }: SeenPool): Member => {
    const known = members.get(scaling.pool)
    if (known !== undefined) return known
    const made = { base: processes ?? 1, ready: [], starting: 0, imagined: 0, history: NO_HISTORY }
    members.set(scaling.pool, made)
    return made
  }
  const track = (work: Promise<void>) => {
    underWay.add(work)
    void work.finally(() => underWay.delete(work))
  }
  const startOne = async (pool: string, member: Member) => {
    member.starting += 1
    try {
      const extra = await options.start(pool)
      if (stopping) await extra.stop()
      else member.ready.push(extra)
    } catch (error) {
      options.onFailure(pool, describeError(error))
    } finally {
      member.starting -= 1
    }
  }
  const act = (pool: string, member: Member, by: number) => {
    if (options.dryRun) {
      member.imagined += by
      return
    }
    for (let i = 0; i < by; i++) track(startOne(pool, member))
    // The newest first. One that only starts is left to come up: the next look decides again.
    for (let i = 0; i > by; i--) {
      const extra = member.ready.pop()
      if (extra !== undefined) track(extra.stop())
    }
  }

  return {
    decide(pools, atSeconds) {
      const asks = pools.map((seen) => {
        const member = memberOf(seen)
        const current = member.base + extrasOf(member)
        const limits = limitsOf(seen.scaling, options.shards)
        const { replicas, signal } = recommend(seen.scaling, seen.load, {
          current,
          ready: member.base + member.ready.length + member.imagined,
        })
        const wanted = Math.max(Math.min(replicas, limits.max), Math.max(1, member.base))
        return { ...seen, pool: seen.scaling.pool, member, current, wanted, signal }
      })
      const used = [...members.values()].reduce((sum, member) => sum + extrasOf(member), 0)
      const room = shareRoom(asks, options.maxProcesses - used)
      return asks.map(({ pool, member, current, wanted, signal, load }) => {
        const decision = decideReplicas({
          recommended: wanted,
          current,
          limits: { min: Math.max(1, member.base), max: current + (room.get(pool) ?? 0) },
          behaviour: options.behaviour,
          history: member.history,
          atSeconds,
        })
        member.history = decision.history
        act(pool, member, decision.replicas - current)
        const heldBy = decision.heldBy === 'limit' ? 'machine' : decision.heldBy
        return { pool, load, from: current, to: decision.replicas, wanted, signal, heldBy }
      })
    },
    async settled() {
      while (underWay.size > 0) await Promise.all(underWay)
    },
    async stop() {
      stopping = true
      await this.settled()
      await Promise.all(
        [...members.values()].flatMap(({ ready }) => ready.splice(0).map((one) => one.stop())),
      )
    },
  }
}
