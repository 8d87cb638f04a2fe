// Deliberate defects: each a small edit that breaks one promise, and the assertion that has to go red for it. Applied to a
// copy of the tree by sabotage.deep.ts; nothing of this is in the product.

export type Defect = {
  name: string
  file: string
  /** Must be in the file exactly once. */
  from: string
  to: string
  /** The tests that are run: a file, and what their titles begin with. */
  test: string
  title: string
  /** What the failed assertion says. */
  says: RegExp
}

export const DEFECTS: readonly Defect[] = [
  {
    name: 'acknowledges a request before it is on the queue',
    file: 'collector/receive.ts',
    from: '  await receiver.acceptor.accept(collected, limits.requestBytes, judged.eventChars)\n',
    to: '  receiver.acceptor.accept(collected, limits.requestBytes, judged.eventChars).catch(() => {})\n',
    test: 'tests/collector/durability.test.ts',
    title: 'while Redis is frozen every request is a 503 within 2 s',
    says: /expected 200 to be 503/,
  },
  {
    name: 'acknowledges a job before its rows are committed',
    file: 'workers/coalesce.ts',
    from: 'add: (payload) => groups.add(payload, weigh(payload)),',
    to: 'add: async (payload) => void groups.add(payload, weigh(payload)).catch(() => {}),',
    test: 'tests/faults/postgres.deep.ts',
    title: 'row 23:',
    says: /every event exactly once/,
  },
  {
    name: 'does not claim message ids',
    file: 'workers/persist/keep.ts',
    from: 'else await claimNewMessageIds(tx, some)',
    to: 'else await claimNewMessageIds(tx, [])',
    test: 'tests/workers/persist/persist.test.ts',
    title: 'the same id without a client time, later and earlier, is one row',
    says: /AssertionError/,
  },
  {
    name: 'gives jobs random ids',
    file: 'queues/sender.ts',
    from: 'const job = toJob(contract, payload, contract.jobId(payload))',
    to: 'const job = toJob(contract, payload, contract.jobId(payload) + Math.random().toString(36).slice(2))',
    test: 'tests/faults/replies.deep.ts',
    title: 'row 11c:',
    says: /one job for one batch/,
  },
  {
    name: 'hands on only what this attempt inserted',
    file: 'workers/persist/keep.ts',
    from: 'if (before.has(row)) whatever.add(profileId)',
    to: 'if (before.has(row)) continue',
    test: 'tests/faults/replies.deep.ts',
    title: 'row 24:',
    says: /every message at most once, and none forgotten/,
  },
  {
    name: 'marks a message as sent before it is',
    file: 'workers/deliver/deliver.ts',
    from: '  const outcome = await provider.send(message, info.signal)\n  await record(held, outcome, message.to, info)\n',
    to: "  await record(held, { kind: 'sent', providerMessageId: '' }, message.to, info)\n  await provider.send(message, info.signal)\n",
    test: 'tests/faults/network.deep.ts',
    title: 'row 35:',
    says: /every message at most once, and none forgotten/,
  },
  {
    name: 'sends again what a dead worker had under way',
    file: 'store/deliveries.ts',
    from: "or (d.state = 'claimed' and d.lease_until < clock_timestamp())",
    to: "or (d.state in ('claimed', 'sending') and d.lease_until < clock_timestamp())",
    test: 'tests/faults/replies.deep.ts',
    title: 'row 36b:',
    says: /every message at most once, and none forgotten/,
  },
  {
    name: 'lets a worker write whose claim was taken over',
    file: 'store/deliveries.ts',
    from: 'and attempt = ',
    to: 'and 0 < ',
    test: 'tests/workers/deliver/once.test.ts',
    title: 'what a worker says after its claim was taken over is not recorded',
    says: /expected true to be false/,
  },
  {
    name: 'starts on a Redis that syncs every second',
    file: 'queues/safety.ts',
    from: "(is) => is === 'always'",
    to: "(is) => is !== 'no'",
    test: 'tests/faults/edge.deep.ts',
    title: 'row 14:',
    says: /a process refuses a Redis that may lose events/,
  },
  {
    name: 'writes to an address that unsubscribed',
    file: 'workers/deliver/deliver.ts',
    from: 'if (await isSuppressed(deps.sql, job.channel, addressHash(deps.config.secret, job.channel, address))) {',
    to: 'if (address === "") {',
    test: 'tests/workers/deliver/guards.test.ts',
    title: 'an address that unsubscribed is not written to',
    says: /AssertionError/,
  },
  {
    name: 'takes back on other servers what home has committed',
    file: 'store/joint-transaction.ts',
    from: "row?.decision === 'commit' ? 'commit' : 'rollback'",
    to: "row === undefined ? 'commit' : 'rollback'",
    test: 'tests/store/joint-transaction.test.ts',
    title: 'of a process that died between the phases',
    says: /AssertionError/,
  },
  {
    name: 'commits although its other servers were given up',
    file: 'store/joint-transaction.ts',
    from: 'if (written.count === 0) throw',
    to: 'if (written.count > 1) throw',
    test: 'tests/store/joint-transaction.test.ts',
    title: 'a process that was given up meanwhile',
    says: /instance of StartAgain/,
  },
  {
    name: 'gives changes on two servers one number',
    file: 'store/server-map.ts',
    from: '      await ownChangeNumbers(tx, wanted.number)\n',
    to: '',
    test: 'tests/store/server-map.test.ts',
    title: 'no two servers give a change the same number',
    says: /AssertionError/,
  },
  {
    name: 'takes the trait that arrived last for the newest',
    file: 'domain/traits.ts',
    from: 'return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1])',
    to: 'return a !== b',
    test: 'tests/domain/traits.test.ts',
    title: 'the newest event wins for each trait on its own',
    says: /AssertionError/,
  },
]
