// Hands committed membership changes to the deliver queues: what the segment pool does after its pass and the sweep
// does for what was left behind. A change whose channel is over its budget stays unannounced for the next sweep, so a
// dead channel never holds up segments.
import { type CampaignOfSegment, deliveriesOf, type PendingChange } from '../domain/announce.ts'
import type { DeliveryJob } from '../schema/jobs.ts'
import type { DepthSampler } from './depth.ts'
import { deliver } from './pipeline.ts'
import type { Send } from './sender.ts'

/** Sends what it can and returns the changes that are announced now. */
export async function announce(
  changes: PendingChange[],
  campaigns: CampaignOfSegment[],
  deps: { send: Send<typeof deliver>; depth: DepthSampler },
): Promise<PendingChange[]> {
  const jobs: DeliveryJob[] = []
  const announced: PendingChange[] = []
  for (const change of changes) {
    const wanted = deliveriesOf(change, campaigns)
    if (wanted.some((job) => isOverBudget(deps.depth, job))) continue
    jobs.push(...wanted)
    announced.push(change)
  }
  if (jobs.length > 0) await deps.send(deliver, jobs)
  return announced
}

function isOverBudget(depth: DepthSampler, job: DeliveryJob): boolean {
  return depth.depthOf(`${deliver.name}-${job.channel}`).waiting > deliver.budget.maxWaitingJobs
}
