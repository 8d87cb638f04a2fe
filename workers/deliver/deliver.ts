// The body of deliver, as a list of verbs: load, claim, guard, render, mark as sending, send, record. Every exit leaves
// a row that says what happened to the message.
import { addressHash, addressOf, isOnAllowList } from '../../domain/addresses.ts'
import { renderTemplate } from '../../domain/template.ts'
import { makeUnsubscribeToken } from '../../domain/unsubscribe.ts'
import type { QueueContract } from '../../queues/define.ts'
import { ingest, persist } from '../../queues/pipeline.ts'
import { fail, isInfrastructureError, PermanentError, RetryLater } from '../../runtime/errors.ts'
import type { DeliveryJob } from '../../schema/jobs.ts'
import { type MessageParts, readMessageParts } from '../../store/campaigns.ts'
import { claimDelivery, type DeliveryState, deliveryRowKey, recordDelivery } from '../../store/deliveries.ts'
import { isSuppressed, suppress } from '../../store/suppressions.ts'
import type { JobInfo, PoolDeps } from '../define.ts'
import type { SegmentCatalog } from '../live-segments.ts'
import type { Outgoing, Provider, SendOutcome } from './provider.ts'
import type { Providers } from './providers.ts'
import { wakeForBounce, wakeForSent } from './wake.ts'

/** At least: until the depths of a quiet process have been looked at again. */
const ADDRESS_AT_LEAST_MS = 3500
const ADDRESS_AT_MOST_MS = 60_000
const ADDRESS_LOOK_MS = 500

/** What `millrace_deliveries_total` counts: how a claim ended. Fenced = another worker had taken it over meanwhile. */
export const OUTCOMES = ['sent', 'waiting', 'failed', 'skipped', 'suppressed', 'unknown', 'fenced'] as const

type Deps = PoolDeps<QueueContract>
type Open = { providers: Providers; catalog: SegmentCatalog }
type Held = { job: DeliveryJob; attempt: number; deps: Deps }

export async function deliverOne(
  job: DeliveryJob,
  info: JobInfo,
  deps: Deps,
  { providers, catalog }: Open,
): Promise<void> {
  const provider = await providers.of(job.channel)
  const parts = await readMessageParts(deps.servers, job)
  if (parts !== undefined) waitForAddress(job, info, parts, deps)
  const held = await claim(job, deps, catalog)
  if (held === undefined) return
  const stop = await guard(held, parts, provider)
  if (stop !== undefined || parts === undefined || provider === undefined) {
    await finish(held, stop?.state ?? 'skipped', stop?.reason ?? 'campaign_gone')
    return
  }
  const message = await render(held, parts)
  // Committed before the provider is called: a worker that dies now leaves an unknown outcome, not a second message.
  if (
    !(await recordDelivery(deps.servers.of(job.profileId), job, { attempt: held.attempt, state: 'sending' }))
  )
    return
  const outcome = await provider.send(message, info.signal)
  await record(held, outcome, message.to, info)
  if (outcome.kind === 'sent') await wakeForSent(deps, catalog, job.profileId)
}

/**
 * Groups of events commit in any order: who entered a segment a moment ago may have said the address before that, in a
 * group that is still on its way. Nothing is claimed and no attempt is spent while it may come.
 */
function waitForAddress(job: DeliveryJob, info: JobInfo, parts: MessageParts, deps: Deps): void {
  if (job.channel === 'webhook' || addressOf(job.channel, parts.profile.traits) !== undefined) return
  const ageMs = Date.now() - info.addedAt
  const isBusy = [ingest, persist].some(({ name }) => {
    const { waiting, active } = deps.depth.depthOf(name)
    return waiting + active > 0
  })
  if (ageMs < ADDRESS_AT_LEAST_MS || (isBusy && ageMs < ADDRESS_AT_MOST_MS))
    throw new RetryLater(ADDRESS_LOOK_MS, 'the address may be among the events on their way')
}

/** The claim, or undefined when there is nothing to do. Throws RetryLater while somebody else holds it. */
async function claim(job: DeliveryJob, deps: Deps, catalog: SegmentCatalog): Promise<Held | undefined> {
  const claimed = await claimDelivery(deps.servers.of(job.profileId), job, {
    leaseMs: deps.config.deliverLeaseMs,
  })
  switch (claimed.kind) {
    case 'claimed':
      return { job, attempt: claimed.attempt, deps }
    case 'finished':
      if (claimed.state === 'sent') await wakeForSent(deps, catalog, job.profileId)
      return undefined
    case 'busy':
      throw new RetryLater(Math.ceil(claimed.freeInMs) + 50, 'another worker holds this delivery')
    case 'abandoned':
      await finish(
        { job, attempt: claimed.attempt, deps },
        'unknown',
        fail('outcome_unknown', 'a worker ended between sending and recording').message,
      )
      return undefined
  }
}

type Stop = { state: DeliveryState; reason: string }

/** Why this message must not be sent, if so. */
async function guard(
  { job, deps }: Held,
  parts: MessageParts | undefined,
  provider: Provider | undefined,
): Promise<Stop | undefined> {
  if (parts === undefined) return { state: 'skipped', reason: 'campaign_gone' }
  if (parts.campaign.status !== 'active')
    return { state: 'skipped', reason: `campaign_${parts.campaign.status}` }
  if (parts.profile.mergedInto !== null) return { state: 'skipped', reason: 'profile_merged' }
  if (provider === undefined) return { state: 'skipped', reason: 'no_provider' }
  if (job.channel === 'webhook') return undefined
  const address = addressOf(job.channel, parts.profile.traits)
  if (address === undefined) return { state: 'skipped', reason: 'no_address' }
  if (await isSuppressed(deps.sql, job.channel, addressHash(deps.config.secret, job.channel, address))) {
    return { state: 'suppressed', reason: 'address_suppressed' }
  }
  if (provider.real && !isOnAllowList(deps.config.sendAllowList, address))
    return { state: 'skipped', reason: 'not_on_allow_list' }
  return undefined
}

async function render(held: Held, parts: MessageParts): Promise<Outgoing> {
  const { job, deps } = held
  const token = makeUnsubscribeToken(deps.config.secret, {
    campaignId: job.campaignId,
    profileId: job.profileId,
    channel: job.channel,
  })
  const base =
    deps.config.publicUrl === ''
      ? `http://${deps.config.host}:${deps.config.httpPort}`
      : deps.config.publicUrl.replace(/\/$/, '')
  const unsubscribeUrl = `${base}/api/v1/unsubscribe/${token}`
  const data = {
    profile: { userId: parts.profile.userId, traits: parts.profile.traits },
    campaign: { name: parts.campaign.name },
    segment: parts.segment,
    unsubscribeUrl,
  }
  try {
    return {
      key: deliveryRowKey(job),
      to: addressOf(job.channel, parts.profile.traits) ?? '',
      subject: renderTemplate(parts.template.subject, data, 'text'),
      text: renderTemplate(parts.template.body, data, 'text'),
      html: parts.template.html === null ? null : renderTemplate(parts.template.html, data, 'html'),
      unsubscribeUrl,
      data: {
        campaign: parts.campaign.name,
        segment: parts.segment.slug,
        userId: parts.profile.userId ?? '',
        deliveryKey: deliveryRowKey(job),
      },
    }
  } catch (error) {
    const reason = `the template of campaign ${job.campaignId} for ${job.channel} cannot be rendered: ${error instanceof Error ? error.name : 'error'}`
    await finish(held, 'failed', reason)
    throw new PermanentError('provider_rejected', reason)
  }
}

async function record(held: Held, outcome: SendOutcome, address: string, info: JobInfo): Promise<void> {
  const { job, deps } = held
  switch (outcome.kind) {
    case 'sent':
      await finish(held, 'sent', undefined, outcome.providerMessageId)
      return
    case 'unknown':
      await finish(held, 'unknown', fail('outcome_unknown', outcome.reason).message)
      return
    case 'refused': {
      if (outcome.suppress === true) {
        await suppress(deps.sql, {
          channel: job.channel,
          addressHash: addressHash(deps.config.secret, job.channel, address),
          reason: 'bounced',
          campaignId: job.campaignId,
        })
        await wakeForBounce(deps)
      }
      await finish(held, 'failed', outcome.reason)
      throw new PermanentError('provider_rejected', outcome.reason)
    }
    case 'later': {
      const last = info.lastAttempt || held.attempt >= deps.config.deliverAttempts
      await finish(held, last ? 'failed' : 'waiting', outcome.reason)
      if (last)
        throw new PermanentError(
          'provider_unavailable',
          `${outcome.reason}, given up after ${held.attempt} attempts`,
        )
      throw fail('provider_unavailable', outcome.reason)
    }
  }
}

/**
 * Records how it ended. What was sent is known only here: while Postgres is away this waits for it, within the lease,
 * rather than leave a message whose outcome is known as unknown.
 */
async function finish(
  held: Held,
  state: DeliveryState,
  reason?: string,
  providerMessageId?: string,
): Promise<void> {
  const { job, attempt, deps } = held
  const giveUpAt = Date.now() + deps.config.deliverLeaseMs / 2
  for (;;) {
    try {
      const written = await recordDelivery(deps.servers.of(job.profileId), job, {
        attempt,
        state,
        reason,
        providerMessageId,
      })
      deps.metrics.deliveries.inc({ channel: job.channel, outcome: written ? state : 'fenced' })
      return
    } catch (error) {
      if (!isInfrastructureError(error) || Date.now() > giveUpAt) throw error
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 200))
    }
  }
}
