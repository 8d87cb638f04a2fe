// Sends what was set aside again: the payload of a failed event goes back to the queue it names, checked against the
// queue's schema, under a new job id. Used by API and CLI; the caller marks the row after this has resolved.
import { Compile } from 'typebox/compile'
import { fail } from '../runtime/errors.ts'
import { contractOf } from './control.ts'
import type { Sender } from './sender.ts'

/** `stage` is a queue or pool name, `payload` the JSON text of its job. Throws `conflict` when it cannot be sent again. */
export async function replayPayload(
  sender: Sender,
  options: { stage: string; payload: string; idSuffix: string; shards: number },
): Promise<void> {
  const contract = contractOf(options.stage, options.shards)
  if (contract === undefined) throw fail('conflict', `there is no queue ${options.stage} to send it to`)
  const payload = parse(options.payload)
  const check = Compile(contract.payload)
  if (!check.Check(payload)) {
    const [first] = check.Errors(payload)
    throw fail(
      'conflict',
      `its payload does not fit the queue ${contract.name}: ${first?.instancePath} ${first?.message}`,
    )
  }
  await sender.resend(contract, payload, options.idSuffix)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw fail('conflict', 'its payload is not JSON')
  }
}
