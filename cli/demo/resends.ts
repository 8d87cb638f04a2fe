// Sends some messages of the demo's shop once more, as an SDK on a bad connection does when it never saw the answer.
// Called by run-demo.ts. The copies are the very same messages, so none of them may become a row.
import type { SegmentMessage } from './message.ts'
import { createRandom } from './random.ts'

/** About `share` of the messages come again 200 to 2,000 messages later (at the end where fewer follow). */
export function withResends(
  messages: readonly SegmentMessage[],
  share: number,
  seed: number,
): SegmentMessage[] {
  const random = createRandom(seed, 'resends')
  const due = new Map<number, SegmentMessage[]>()
  const stream: SegmentMessage[] = []
  messages.forEach((message, index) => {
    stream.push(message, ...(due.get(index) ?? []))
    due.delete(index)
    if (!random.chance(share)) return
    const later = index + random.int(200, 2_000)
    due.set(later, [...(due.get(later) ?? []), message])
  })
  const left = [...due].sort(([a], [b]) => a - b).flatMap(([, late]) => late)
  return [...stream, ...left]
}
