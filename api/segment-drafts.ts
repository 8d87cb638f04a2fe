// An edit without fear: a rule is tried on everybody beside the live one, what it would change is looked at, and then it is
// published, or not. The version before is kept for the way back.
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { checkRule } from '../domain/segments/version.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { clearShadow, listDifference, sizeOfDifference } from '../store/segment-difference.ts'
import {
  dropShadow,
  listVersions,
  publishDraft,
  readVersion,
  rollBack,
  saveDraft,
} from '../store/segment-drafts.ts'
import type { SegmentRow } from '../store/segments.ts'
import { actorOf } from './admission.ts'
import { beginRuns } from './begin-runs.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, PageQuery, pageOf, toPage } from './paging.ts'
import {
  Author,
  GOLD_RULE,
  Note,
  noSuchSegment,
  RuleDocument,
  Segment,
  SegmentParams,
  segmentOf,
  showSegment,
} from './segment-shapes.ts'
import { tellChange } from './tell-change.ts'
import { typed } from './typed.ts'

const tags = ['segments']
const params = Type.Object({
  segment: Type.String({ ...SegmentParams.properties.segment, examples: ['loyal'] }),
})

const Version = Type.Object({
  version: Type.Integer({ examples: [1] }),
  state: Type.String({ description: '`building`, `draft`, `live` or `retired`', examples: ['live'] }),
  rule: Type.Record(Type.String(), Type.Unknown()),
  author: Type.String({ examples: ['key:1'] }),
  note: Type.String(),
  createdAt: Type.String({ format: 'date-time' }),
})
const NewDraft = Type.Object(
  { rule: RuleDocument, author: Type.Optional(Author), note: Type.Optional(Note) },
  { additionalProperties: false, examples: [{ rule: GOLD_RULE, note: 'without the trial plan' }] },
)
const Draft = Type.Object({
  ...Version.properties,
  difference: Type.Object(
    { entering: Type.Integer(), leaving: Type.Integer(), stays: Type.Integer() },
    {
      description:
        'What publishing would do now; while it is `building`, as far as people have been evaluated',
    },
  ),
})
export type Draft = Static<typeof Draft>
export type Version = Static<typeof Version>
export const MovedPerson = Type.Object({
  profileId: Type.Integer({ examples: [1234567] }),
  userId: Type.Union([Type.String(), Type.Null()], { examples: ['user-42'] }),
  op: Type.String({ description: '`enter` or `exit`' }),
})
export type MovedPerson = Static<typeof MovedPerson>

export function segmentDraftRoutes(app: HttpServer, deps: ApiDeps): void {
  draftRoutes(app, deps)
  lookRoutes(app, deps)
  swapRoutes(app, deps)
}

function draftRoutes(app: HttpServer, deps: ApiDeps): void {
  const routes = typed(app)
  const { sql, servers, clock } = deps

  routes.put(
    '/api/v1/segments/:segment/draft',
    {
      schema: {
        tags,
        summary: 'Try another rule beside the live one',
        description:
          'Everybody is evaluated for it, and from then on it follows events and time as the live one does, but nobody ' +
          'enters or leaves. Takes the place of a draft before, and of the version kept for the way back.',
        params,
        body: NewDraft,
        response: { 200: Segment },
      },
    },
    async (request) => {
      const { rule, author, note } = request.body
      const version = { ...checkRule(rule), author: author ?? actorOf(request), note: note ?? '' }
      const { segmentId, shadow } = await segmentOf(sql, request.params.segment)
      if (shadow !== null) await dropShadow(sql, segmentId)
      await clearShadow(servers, segmentId)
      const segment = await saveDraft(sql, segmentId, version)
      if (segment === undefined) throw noSuchSegment()
      await audit(deps, request, 'segment.draft', segment)
      await beginRuns(deps)
      return showSegment(sql, segment, clock.now())
    },
  )

  routes.delete(
    '/api/v1/segments/:segment/draft',
    {
      schema: {
        tags,
        summary: 'Throw a draft away',
        description:
          'Or, without one, the version that is kept for the way back. The live version stays as it is.',
        params,
        response: { 200: Segment },
      },
    },
    async (request) => {
      const { segmentId } = await segmentOf(sql, request.params.segment)
      const dropped = await dropShadow(sql, segmentId)
      await clearShadow(servers, segmentId)
      const segment = await segmentOf(sql, String(segmentId))
      if (dropped) await audit(deps, request, 'segment.draft.drop', segment)
      return showSegment(sql, segment, clock.now())
    },
  )
}

function lookRoutes(app: HttpServer, { sql, servers }: ApiDeps): void {
  const routes = typed(app)
  const PersonKey = Type.Object({ afterProfileId: KeyNumber })
  const VersionKey = Type.Object({ before: KeyNumber })

  routes.get(
    '/api/v1/segments/:segment/draft',
    {
      schema: { tags, summary: 'What a draft would change', params, response: { 200: Draft } },
    },
    async (request) => {
      const { segmentId, shadow } = await segmentOf(sql, request.params.segment)
      if (shadow === null || shadow.status === 'retired')
        throw fail('not_found', 'the segment has no draft', { field: 'segment' })
      const version = await readVersion(sql, segmentId, shadow.version)
      if (version === undefined) throw noSuchSegment()
      return { ...shownVersion(version), difference: await sizeOfDifference(servers, segmentId) }
    },
  )

  routes.get(
    '/api/v1/segments/:segment/draft/people',
    {
      schema: {
        tags,
        summary: 'Whom a draft would move',
        description: 'By profile number. After publishing: whom the way back would move.',
        params,
        querystring: Type.Object(
          {
            ...PageQuery,
            op: Type.Optional(
              Type.Union([Type.Literal('enter'), Type.Literal('exit')], { description: 'Only these' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: pageOf(MovedPerson) },
      },
    },
    async ({ params: { segment }, query }) => {
      const { segmentId, shadow } = await segmentOf(sql, segment)
      if (shadow === null) throw fail('not_found', 'the segment has no draft', { field: 'segment' })
      const afterProfileId = decodeCursor(PersonKey, query.cursor)?.afterProfileId ?? -1
      const rows = await listDifference(servers, {
        ...{ segmentId, op: query.op, afterProfileId, limit: query.limit + 1 },
      })
      return toPage(rows, query.limit, (row) => ({ afterProfileId: row.profileId }))
    },
  )

  routes.get(
    '/api/v1/segments/:segment/versions',
    {
      schema: {
        tags,
        summary: 'Versions of a segment',
        description: 'Newest first, each with its rule as it was written.',
        params,
        querystring: Type.Object(PageQuery, { additionalProperties: false }),
        response: { 200: pageOf(Version) },
      },
    },
    async ({ params: { segment }, query }) => {
      const { segmentId } = await segmentOf(sql, segment)
      const rows = await listVersions(sql, segmentId, {
        before: decodeCursor(VersionKey, query.cursor)?.before,
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({ before: row.version }))
      return { ...page, data: page.data.map(shownVersion) }
    },
  )
}

function swapRoutes(app: HttpServer, deps: ApiDeps): void {
  const routes = typed(app)
  const { sql, clock } = deps
  const swapped = async (request: FastifyRequest, action: string, segment: SegmentRow) => {
    await audit(deps, request, action, segment)
    await beginRuns(deps)
    return showSegment(sql, segment, clock.now())
  }

  routes.post(
    '/api/v1/segments/:segment/draft/publish',
    {
      schema: {
        tags,
        summary: 'Make the draft live',
        description:
          'Only those it differs for are evaluated again; they enter and leave with the reason `rule_changed`, which ' +
          'triggers no campaign. Refused with `conflict` while it is `building`.',
        params,
        response: { 200: Segment },
      },
    },
    async (request) => {
      const { segmentId } = await segmentOf(sql, request.params.segment)
      return swapped(request, 'segment.publish', await publishDraft(sql, segmentId, tellChange(deps)))
    },
  )

  routes.post(
    '/api/v1/segments/:segment/rollback',
    {
      schema: {
        tags,
        summary: 'Go back to the version before',
        description:
          'It has been followed all along, so only those it differs for are evaluated again; and again leads forward. ' +
          'Refused with `conflict` when another draft has taken its place.',
        params,
        response: { 200: Segment },
      },
    },
    async (request) => {
      const { segmentId } = await segmentOf(sql, request.params.segment)
      return swapped(request, 'segment.rollback', await rollBack(sql, segmentId, tellChange(deps)))
    },
  )
}

async function audit(
  { sql }: ApiDeps,
  request: FastifyRequest,
  action: string,
  segment: SegmentRow,
): Promise<void> {
  const { segmentId, slug, liveVersion, shadow } = segment
  const details = { slug, version: liveVersion, shadow: shadow?.version ?? null }
  await recordAudit(sql, { actor: actorOf(request), action, target: String(segmentId), details })
}

function shownVersion({ status, createdAt, ...rest }: Awaited<ReturnType<typeof listVersions>>[number]) {
  return { ...rest, state: status, createdAt: createdAt.toISOString() }
}
