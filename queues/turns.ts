// Of several processes that wait on one lane, each new job would wake another one, which makes a group of one of it: a
// transaction, a file, a look into Redis a job. Where jobs cost less together, whoever took the last ones therefore goes on,
// and the others look again when it has taken none for a while or more waits than one process should be left with.
// A process alone on its lane never waits. Used by resting-worker.ts.
import type { RedisClient } from './connection.ts'

/** How long the jobs of a lane are left to the process that took the last ones. */
const TURN_MS = 60
/** From so many waiting jobs on everybody takes. */
const ENOUGH_FOR_ALL = 16

/** Milliseconds to leave it to another process; 0 = take (also where nothing waits, as delayed jobs are due by taking). */
const ASK = `
local waiting = redis.call('llen', KEYS[1])
if waiting == 0 or waiting >= tonumber(ARGV[3]) then return 0 end
local taker = redis.call('get', KEYS[2])
if taker and taker ~= ARGV[1] then return math.max(1, redis.call('pttl', KEYS[2])) end
redis.call('set', KEYS[2], ARGV[1], 'px', ARGV[2])
return 0
`

/** `lane` = what all keys of the lane start with; `taker` = who asks, unique among all processes. */
export async function msUntilTurn(redis: RedisClient, lane: string, taker: string): Promise<number> {
  const keys = [`${lane}:wait`, `${lane}:taker`]
  return Number(await redis.eval(ASK, keys.length, ...keys, taker, TURN_MS, ENOUGH_FOR_ALL))
}
