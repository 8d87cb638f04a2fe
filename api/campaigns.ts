// Campaigns: what is sent, on which channels, to whoever enters a segment. A template is rendered once against sample
// people before it is taken, so that a mistake is an answer here and not a failed delivery later.
import Type, { type Static } from 'typebox'
import { isHeaderSafe } from '../domain/addresses.ts'
import { renderTemplate, type TemplateData } from '../domain/template.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import {
  type CampaignRow,
  createCampaign,
  listCampaigns,
  readCampaign,
  setCampaignStatus,
} from '../store/campaigns.ts'
import type { Queryable } from '../store/sql.ts'
import { actorOf } from './admission.ts'
import type { ApiDeps } from './deps.ts'
import { segmentOf } from './segment-shapes.ts'
import { typed } from './typed.ts'

const tags = ['campaigns']

const Message = Type.Object(
  {
    channel: Type.Enum(['email', 'push', 'webhook']),
    subject: Type.Optional(
      Type.String({ maxLength: 500, description: 'Liquid. Subject of a mail, title of a push' }),
    ),
    body: Type.Optional(
      Type.String({
        maxLength: 50_000,
        description:
          'Liquid over `profile.userId`, `profile.traits`, `campaign.name`, `segment.slug`, `segment.name`, `unsubscribeUrl`',
      }),
    ),
    html: Type.Optional(
      Type.String({ maxLength: 100_000, description: 'Liquid; what it prints is escaped. Mails only' }),
    ),
  },
  { additionalProperties: false },
)

const NewCampaign = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f]+$' }),
    segment: Type.String({ minLength: 1, maxLength: 63, description: 'Slug or number of the segment' }),
    channels: Type.Array(Message, { minItems: 1, maxItems: 3, description: 'At most one a channel' }),
  },
  {
    additionalProperties: false,
    examples: [
      {
        name: 'Thank big orders',
        segment: 'big-orders',
        channels: [
          {
            channel: 'email',
            subject: 'Thank you, {{ profile.traits.firstName | default: "friend" }}',
            body: 'Here is 10 % off: THANKS10.\n\nUnsubscribe: {{ unsubscribeUrl }}',
            html: '<p>Here is 10&nbsp;% off: <b>THANKS10</b>.</p><p><a href="{{ unsubscribeUrl }}">Unsubscribe</a></p>',
          },
          { channel: 'push', subject: 'Thank you!', body: '10 % off with THANKS10.' },
          { channel: 'webhook' },
        ],
      },
    ],
  },
)

const Campaign = Type.Object({
  campaignId: Type.Integer({ examples: [1] }),
  name: Type.String({ examples: ['Thank big orders'] }),
  segmentId: Type.Integer({ examples: [1] }),
  segmentSlug: Type.String({ examples: ['big-orders'] }),
  status: Type.String({ description: '`active`, `paused` or `archived`', examples: ['active'] }),
  channels: Type.Array(Type.String(), { examples: [['email', 'push', 'webhook']] }),
  createdAt: Type.String({ format: 'date-time' }),
})
const Params = Type.Object({
  campaignId: Type.Integer({ minimum: 1, maximum: 2_147_483_647, examples: [1] }),
})

export function campaignRoutes(app: HttpServer, deps: ApiDeps): void {
  readRoutes(app, deps)
  makeRoute(app, deps)
  statusRoute(app, deps, {
    path: 'pause',
    status: 'paused',
    summary: 'Pause a campaign',
    description: 'Entries from now on, and messages that still wait, are not sent and not made up for later.',
  })
  statusRoute(app, deps, {
    path: 'resume',
    status: 'active',
    summary: 'Resume a campaign',
    description: 'Entries from now on are written to again.',
  })
}

function readRoutes(app: HttpServer, { sql }: ApiDeps): void {
  const routes = typed(app)
  routes.get(
    '/api/v1/campaigns',
    {
      schema: {
        tags,
        summary: 'List campaigns',
        response: { 200: Type.Object({ data: Type.Array(Campaign) }) },
      },
    },
    async () => ({ data: (await listCampaigns(sql)).map(shown) }),
  )
  routes.get(
    '/api/v1/campaigns/:campaignId',
    { schema: { tags, summary: 'Read a campaign', params: Params, response: { 200: Campaign } } },
    async ({ params }) => shown(await campaignOf(sql, params.campaignId)),
  )
}

function makeRoute(app: HttpServer, { sql }: ApiDeps): void {
  typed(app).post(
    '/api/v1/campaigns',
    {
      schema: {
        tags,
        summary: 'Make a campaign',
        description:
          'It is active at once: whoever enters the segment from now on gets one message a channel and entry.',
        body: NewCampaign,
        response: { 201: Campaign },
      },
    },
    async (request, reply) => {
      const { name, segment: idOrSlug, channels } = request.body
      const segment = await segmentOf(sql, idOrSlug)
      checkMessages(channels, { campaign: { name }, segment: { slug: segment.slug, name: segment.name } })
      const campaignId = await createCampaign(sql, {
        name,
        segmentId: segment.segmentId,
        channels: channels.map(({ channel, subject, body, html }) => ({
          channel,
          subject: subject ?? '',
          body: body ?? '',
          html: html ?? null,
        })),
      })
      if (campaignId === undefined)
        throw fail('conflict', 'there is a campaign of this name', { field: 'name' })
      const target = String(campaignId)
      const details = { segmentId: segment.segmentId }
      await recordAudit(sql, { actor: actorOf(request), action: 'campaign.create', target, details })
      return reply.code(201).send(shown(await campaignOf(sql, campaignId)))
    },
  )
}

function statusRoute(
  app: HttpServer,
  { sql }: ApiDeps,
  to: { path: string; status: 'active' | 'paused'; summary: string; description: string },
): void {
  const { summary, description } = to
  typed(app).post(
    `/api/v1/campaigns/:campaignId/${to.path}`,
    { schema: { tags, summary, description, params: Params, response: { 200: Campaign } } },
    async (request) => {
      const { campaignId } = request.params
      const before = await campaignOf(sql, campaignId)
      if (before.status === 'archived') throw fail('conflict', 'this campaign is archived')
      if (before.status !== to.status) {
        await setCampaignStatus(sql, campaignId, to.status)
        const target = String(campaignId)
        await recordAudit(sql, { actor: actorOf(request), action: `campaign.${to.path}`, target })
      }
      return shown(await campaignOf(sql, campaignId))
    },
  )
}

async function campaignOf(sql: Queryable, campaignId: number): Promise<CampaignRow> {
  const campaign = await readCampaign(sql, campaignId)
  if (campaign === undefined)
    throw fail('not_found', 'there is no campaign of this number', { field: 'campaignId' })
  return campaign
}

/** Somebody we know much about and somebody we know nothing about: templates must bear both. */
const SAMPLE_PROFILES: TemplateData['profile'][] = [
  { userId: 'user-42', traits: { firstName: 'Ada', email: 'ada@example.com', plan: 'gold', age: 36 } },
  { userId: null, traits: {} },
]

/** Throws `invalid_request` with the place of the first message that cannot be sent as it is. */
function checkMessages(
  messages: Static<typeof Message>[],
  about: Pick<TemplateData, 'campaign' | 'segment'>,
): void {
  messages.forEach((message, i) => {
    const at = `channels.${i}`
    if (messages.findIndex((one) => one.channel === message.channel) !== i)
      throw wrong(`${at}.channel`, `there is one message for ${message.channel} already`)
    if (message.channel === 'email' && (message.subject ?? '').trim() === '')
      throw wrong(`${at}.subject`, 'a mail needs a subject')
    if (message.channel !== 'webhook' && (message.body ?? '').trim() === '')
      throw wrong(`${at}.body`, 'a message to people needs a body')
    if (message.channel !== 'email' && message.html !== undefined)
      throw wrong(`${at}.html`, 'only mails have an HTML body')
    for (const profile of SAMPLE_PROFILES) {
      const data = { ...about, profile, unsubscribeUrl: 'https://example.com/unsubscribe' }
      const subject = rendered(`${at}.subject`, message.subject ?? '', data, 'text')
      if (!isHeaderSafe(subject)) throw wrong(`${at}.subject`, 'it renders to more than one line')
      rendered(`${at}.body`, message.body ?? '', data, 'text')
      rendered(`${at}.html`, message.html ?? '', data, 'html')
    }
  })
}

function rendered(field: string, text: string, data: TemplateData, kind: 'text' | 'html'): string {
  try {
    return renderTemplate(text, data, kind)
  } catch (error) {
    // Liquid quotes the template, which the asker wrote, and the sample above; never a person.
    const [why = ''] = error instanceof Error ? error.message.split('\n') : []
    throw wrong(field, `the template cannot be rendered: ${why.slice(0, 200)}`)
  }
}

function wrong(field: string, why: string) {
  return fail('invalid_request', `${field}: ${why}`, { field })
}

function shown({ createdAt, ...rest }: CampaignRow) {
  return { ...rest, createdAt: createdAt.toISOString() }
}
