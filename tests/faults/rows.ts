// The fault matrix: what can go wrong, what is expected, and which file shows it, or why no file does. Read by
// matrix.test.ts, which holds it against the tests that there are.

export type MatrixRow = { id: number; fault: string; expected: string } & (
  | { shownBy: string }
  | { notShown: string }
)

const PROCESSES = { shownBy: 'tests/faults/processes.deep.ts' }
const REPLIES = { shownBy: 'tests/faults/replies.deep.ts' }
const REDIS = { shownBy: 'tests/faults/redis.deep.ts' }
const NETWORK = { shownBy: 'tests/faults/network.deep.ts' }
const POSTGRES = { shownBy: 'tests/faults/postgres.deep.ts' }
const EDGE = { shownBy: 'tests/faults/edge.deep.ts' }
const DISKS = { shownBy: 'tests/faults/disks.deep.ts' }

export const MATRIX: readonly MatrixRow[] = [
  {
    id: 1,
    fault: 'collector killed in the midst of a batch',
    expected: 'reset; the retry lands once',
    ...PROCESSES,
  },
  {
    id: 2,
    fault: 'collector told to stop under load',
    expected: 'answers what it took, exit 0 in time',
    ...PROCESSES,
  },
  {
    id: 3,
    fault: 'half-sent and dripped requests',
    expected: '408, nothing stored, others unaffected',
    ...EDGE,
  },
  { id: 4, fault: '200 swallowed on its way to the client', expected: 'the retry is one row', ...REPLIES },
  {
    id: 5,
    fault: 'collector’s loop stands still',
    expected: 'answers again at once, nothing twice',
    ...PROCESSES,
  },
  { id: 6, fault: 'Redis killed', expected: 'always: nothing lost; everysec: counted', ...REDIS },
  {
    id: 7,
    fault: 'Redis killed on a slow disk',
    expected: 'always: nothing lost; everysec: loses, and is seen to',
    ...REDIS,
  },
  {
    id: 8,
    fault: 'power cut: only what was synced survives',
    expected: 'as 6',
    notShown: 'needs a file system that drops unsynced writes; row 7 shows that answers wait for the sync',
  },
  { id: 9, fault: 'Redis frozen', expected: '503 within the deadline; then everything goes on', ...REDIS },
  { id: 10, fault: 'connections cut again and again', expected: 'pools go on without a restart', ...NETWORK },
  { id: 11, fault: 'reply to an add swallowed', expected: 'one job, no row twice', ...REPLIES },
  { id: 12, fault: 'addBulk cut in the middle', expected: 'sent again whole, nothing twice', ...REPLIES },
  { id: 13, fault: 'Redis at maxmemory', expected: 'shed before; recovers alone', ...REDIS },
  {
    id: 14,
    fault: 'Redis that evicts or does not sync',
    expected: 'no process starts on it, and says why',
    ...EDGE,
  },
  {
    id: 15,
    fault: 'Redis emptied, its file torn',
    expected: 'costs the backlog and no more',
    shownBy: 'tests/faults/redis-loss.deep.ts',
  },
  {
    id: 16,
    fault: 'failover to a replica that lags',
    expected: 'loss counted',
    notShown: 'needs Sentinel or a cluster; asked for with the Redis Cluster tests, not with this matrix',
  },
  { id: 17, fault: 'Redis loading its file', expected: '503, nobody ends', ...REDIS },
  {
    id: 18,
    fault: 'workers killed over and over',
    expected: 'all done, within lock and sweep',
    ...PROCESSES,
  },
  {
    id: 19,
    fault: 'worker told to stop with a job that hangs',
    expected: 'handed back within its deadline',
    ...PROCESSES,
  },
  {
    id: 20,
    fault: 'worker asleep past its lock, then awake',
    expected: 'its late writes change nothing',
    ...PROCESSES,
  },
  {
    id: 21,
    fault: 'event that kills its process',
    expected: 'set aside; the others flow',
    shownBy: 'tests/faults/poison.deep.ts',
  },
  { id: 22, fault: 'one bad row among 500', expected: '499 kept, 1 in failed_events', ...POSTGRES },
  { id: 23, fault: 'Postgres crashes; a backend killed', expected: 'recovers, work is retried', ...POSTGRES },
  { id: 24, fault: 'reply to COMMIT swallowed', expected: 'counts as done when tried again', ...REPLIES },
  { id: 25, fault: 'sessions ended; connections used up', expected: 'waits and retries', ...NETWORK },
  { id: 26, fault: 'table locked', expected: 'backlog grows, then drains', ...POSTGRES },
  { id: 27, fault: 'database turns read-only', expected: 'retried, not failed', ...POSTGRES },
  { id: 28, fault: 'disk hangs', expected: '503, then everything goes on', ...DISKS },
  { id: 29, fault: 'disk full', expected: '503; freed, nothing lost', ...DISKS },
  { id: 30, fault: 'fsync fails', expected: 'no acknowledgement without a sync', ...REDIS },
  {
    id: 31,
    fault: 'partition, also one-sided',
    expected: 'deadlines fire; heals without a restart',
    ...NETWORK,
  },
  { id: 32, fault: 'latency, narrow bandwidth', expected: 'slower, same counts', ...NETWORK },
  {
    id: 33,
    fault: 'clock jumps',
    expected: 'nothing early or twice',
    notShown:
      'needs faketime under each process; leases use the clock of Postgres alone (store/deliveries.ts)',
  },
  {
    id: 34,
    fault: 'DNS fails or hangs',
    expected: 'time limits and retries',
    notShown:
      'the local deployment resolves no name; only a real webhook does, and fails closed (workers/deliver/webhook.ts)',
  },
  { id: 35, fault: 'provider puts off, refuses, hangs', expected: 'other channels unaffected', ...NETWORK },
  {
    id: 36,
    fault: 'provider took it, the answer is lost',
    expected: 'unknown or recognisable, never twice',
    ...REPLIES,
  },
  { id: 37, fault: 'everything killed at once', expected: 'every count right after', ...PROCESSES },
  {
    id: 38,
    fault: 'no file descriptors left; more load than it can take',
    expected: 'shed, no crash',
    ...EDGE,
  },
  {
    id: 39,
    fault: 'two versions side by side',
    expected: 'both read each other’s jobs',
    notShown: 'there is one version of every payload so far',
  },
]
