// The autoscaler of one machine: for every look it decides by the rule of domain/autoscale.ts how many processes each pool
// should have, and has its own started or stopped (extras.ts). Those that `millrace start` runs are the minimum and never
// touched.
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
import type { Extras } from './extras.ts'
import type { SeenPool } from './pools.ts'
import { shareRoom } from './share.ts'

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

type Member = {
  /** Processes that ran before: the minimum. */
  base: number
  history: ScalingHistory
}

/** Decides on one look and acts on it by `extras`. */
export type Scaler = { decide(pools: SeenPool[], atSeconds: number): PoolDecision[] }

export function openScaler(options: {
  extras: Extras
  /** Processes that may be started here, of all pools together. */
  maxProcesses: number
  shards: number
  behaviour: Behaviour
}): Scaler {
  const { extras, shards, behaviour } = options
  const members = new Map<string, Member>()
  const memberOf = ({ scaling, processes }: SeenPool): Member => {
    const known = members.get(scaling.pool) ?? { base: processes ?? 1, history: NO_HISTORY }
    members.set(scaling.pool, known)
    return known
  }
  return {
    decide(pools, atSeconds) {
      const asks = pools.map((seen) => askOf(seen, memberOf(seen), extras, shards))
      const room = shareRoom(asks, options.maxProcesses - extras.total())
      return asks.map(({ pool, member, current, wanted, signal, load }) => {
        const decision = decideReplicas({
          recommended: wanted,
          current,
          limits: { min: Math.max(1, member.base), max: current + (room.get(pool) ?? 0) },
          behaviour,
          history: member.history,
          atSeconds,
        })
        member.history = decision.history
        extras.change(pool, decision.replicas - current)
        const heldBy = decision.heldBy === 'limit' ? 'machine' : decision.heldBy
        return { pool, load, from: current, to: decision.replicas, wanted, signal, heldBy }
      })
    },
  }
}

/** What the rule asks for, between what ran before and the pool's own limit. */
function askOf({ scaling, load }: SeenPool, member: Member, extras: Extras, shards: number) {
  const { asked, ready } = extras.of(scaling.pool)
  const current = member.base + asked
  const { replicas, signal } = recommend(scaling, load, { current, ready: member.base + ready })
  const wanted = Math.max(Math.min(replicas, limitsOf(scaling, shards).max), Math.max(1, member.base))
  return { pool: scaling.pool, member, current, wanted, signal, load }
}
