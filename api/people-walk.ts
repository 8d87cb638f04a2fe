// Looking at everybody for an answer that is asked for over HTTP: in short steps, one at a time in a process whoever asks, until
// all were looked at, the time that was asked for is over, or the client is gone. Nothing stays here between two requests.
import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import pLimit from 'p-limit'
import Type from 'typebox'
import { BUCKETS } from '../domain/buckets.ts'
import type { Plan } from '../domain/segments/plan.ts'
import {
  afterPart,
  beginParts,
  MOST_HALVINGS,
  nextPart,
  PEOPLE_A_STEP,
  type Progress,
} from '../domain/segments/random-parts.ts'
import { closureOf } from '../domain/segments/references.ts'
import type { Clock } from '../runtime/clock.ts'
import { fail } from '../runtime/errors.ts'
import { countBucket, peopleIn } from '../store/people-parts.ts'
import type { Servers } from '../store/servers.ts'
import type { Sql } from '../store/sql.ts'

/** Requests that look at everybody at the same time in a process; each has its turn after each of the others. */
const MOST_AT_ONCE = 5
export const BUDGET = { leastMs: 50, usualMs: 800, mostMs: 20_000 } as const
/** A pause is no longer than this. */
const MOST_REST_MS = 500

export const BudgetMs = Type.Integer({
  minimum: BUDGET.leastMs,
  maximum: BUDGET.mostMs,
  description: `Time to count in, ${BUDGET.usualMs} unless said`,
  examples: [BUDGET.usualMs],
})

export const Counted = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
/** In a cursor: where it goes on, and what the answer rests on (`meaningOf`). */
export const ProgressKey = Type.Object({
  halvings: Type.Integer({ minimum: 0, maximum: MOST_HALVINGS }),
  done: Type.Integer({ minimum: 0, maximum: BUCKETS * 2 ** MOST_HALVINGS }),
  people: Counted,
})
export const Meaning = Type.String({ minLength: 22, maxLength: 22 })

/** Runs one step; the others wait. */
export type Turn = <T>(step: () => Promise<T>) => Promise<T>
export type Walks = {
  /** Throws `overloaded` while others have all places. */
  admit<T>(work: (turn: Turn) => Promise<T>): Promise<T>
}

/** What all routes of a process share that look at everybody. */
export function openWalks(): Walks {
  const oneAtATime = pLimit(1)
  let admitted = 0
  return {
    async admit(work) {
      if (admitted >= MOST_AT_ONCE)
        throw fail('overloaded', 'others are counting already', { retryAfterS: 5 })
      admitted += 1
      try {
        return await work((step) => oneAtATime(step))
      } finally {
        admitted -= 1
      }
    },
  }
}

export type Budget = {
  isOver(): boolean
  /** Between two steps. */
  rest(tookMs: number): Promise<void>
}

/**
 * The first look is to be quick. Who goes on until it is exact takes half of the time at the most: live passes ask the same
 * servers. A client that is gone is not counted for.
 */
export function openBudget(
  clock: Clock,
  request: FastifyRequest,
  { budgetMs = BUDGET.usualMs, goesOn }: { budgetMs?: number | undefined; goesOn: boolean },
): Budget {
  const startedMs = clock.now()
  const spentMs = () => clock.now() - startedMs
  const isGone = () => request.raw.socket.destroyed
  return {
    isOver: () => isGone() || spentMs() > budgetMs,
    async rest(tookMs) {
      if (!goesOn && spentMs() <= BUDGET.usualMs) return
      await new Promise((resolve) => setTimeout(resolve, Math.min(tookMs, MOST_REST_MS)))
    },
  }
}

/** Repeats a step, at least once, until it says that it was the last or the time is over; resolves to whether it was the last. */
export async function walkSteps(turn: Turn, budget: Budget, step: () => Promise<boolean>): Promise<boolean> {
  for (;;) {
    let tookMs = 0
    const isLast = await turn(async () => {
      const beganMs = performance.now()
      const isLast = await step()
      tookMs = performance.now() - beganMs
      return isLast
    })
    if (isLast || budget.isOver()) return isLast
    await budget.rest(tookMs)
  }
}

export function beginWalk(servers: Servers): Promise<Progress> {
  return countBucket(servers, 0).then(beginParts)
}

/** Random parts of everybody, in walkSteps; `look` is given some people of one server. Resolves to how far it came. */
export async function walkPeople(
  servers: Servers,
  from: Progress,
  { turn, budget, look }: { turn: Turn; budget: Budget; look: (sql: Sql, people: number[]) => Promise<void> },
): Promise<Progress> {
  let progress = from
  await walkSteps(turn, budget, async () => {
    const part = nextPart(progress)
    if (part === undefined) return true
    let people = 0
    for (const [sql, profileIds] of await peopleIn(servers, part)) {
      people += profileIds.length
      for (let at = 0; at < profileIds.length; at += PEOPLE_A_STEP)
        await look(sql, profileIds.slice(at, at + PEOPLE_A_STEP))
    }
    progress = afterPart(progress, part, people)
    return nextPart(progress) === undefined
  })
  return progress
}

/**
 * What plans mean, with all that they refer to, and what else is given: a count that was begun with one meaning cannot go on
 * with another.
 */
export function meaningOf(
  plans: readonly Plan[],
  known: ReadonlyMap<string, Plan>,
  ...rest: readonly unknown[]
): string {
  const all = plans.map((plan) => closureOf(plan, known))
  return createHash('sha256')
    .update(JSON.stringify([all, rest]))
    .digest('base64url')
    .slice(0, 22)
}

/** Throws `conflict` unless what was begun still means the same. */
export function mustMeanTheSame(begun: { meaning: string } | undefined, meaning: string): void {
  if (begun !== undefined && begun.meaning !== meaning)
    throw fail(
      'conflict',
      'the cursor is of another question, or what the rule refers to has changed since: ask again without it',
      { field: 'cursor' },
    )
}
