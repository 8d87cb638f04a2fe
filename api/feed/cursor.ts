// One reader's way through the changes: from wherever it stands by reads of its own, then with the tail that all share, and
// back to its own reads when it has fallen behind what the tail keeps. Its position says what it was given.
//
// Nothing falls between the two: the number of the tail's next batch is taken before the read that reaches the end. What the
// tail had by then was committed before the read began, which has it too; everything else comes in that batch or later,
// and what the read had as well is left out by its number.
import pLimit from 'p-limit'
import { afterChanges, isAfter, type Position } from '../../domain/feed-position.ts'
import { type FeedChange, readFeed } from './message.ts'
import { CHANGES_A_LOCK, type FeedSource, type Tail } from './tail.ts'

export type Cursor = {
  /** After the changes that `next` gave. */
  position(): Position
  /** The next changes, those of each person in order; none after `waitMs`. Rejects when Postgres does not answer. */
  next(waitMs: number): Promise<readonly FeedChange[]>
}

/** So many readers of a process read Postgres at once; the others wait their turn, and the API keeps its connections. */
const READERS = 2

export type Cursors = { open(start: Position): Cursor }

/** Cursors on a tail that is held while they are used. */
export function openCursors(source: FeedSource, tail: Tail): Cursors {
  const turn = pLimit(READERS)
  return {
    open(start) {
      let position = start
      /** The tail's batch that comes next; undefined = it reads by itself. */
      let batch: number | undefined

      const readOn = async () => {
        const next = tail.next()
        const read = await turn(() => readFeed(source, position, CHANGES_A_LOCK))
        if (read.failure !== undefined && read.changes.length === 0) throw read.failure
        position = read.position
        if (read.isWhole) batch = next
        return read.changes
      }

      return {
        position: () => position,
        async next(waitMs) {
          if (batch === undefined || batch < tail.oldest()) {
            batch = undefined
            return readOn()
          }
          if (batch === tail.next()) await tail.news.wait(tail.news.count(), waitMs)
          if (batch === tail.next() || batch < tail.oldest()) return []
          const start = position
          const changes = tail.batch(batch).filter((change) => isAfter(start, change))
          batch += 1
          position = afterChanges(position, changes)
          return changes
        },
      }
    },
  }
}
