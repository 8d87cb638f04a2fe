// Whom and which segment an argument means.
import type { Segment } from '../../api/segment-shapes.ts'
import { type Api, path } from '../api-client.ts'
import { suggesting } from '../suggest.ts'

/** The path of a person in the API: by user id, or by the number of a profile. */
export function personPath(person: string, isProfile: boolean | undefined): string {
  return isProfile === true ? path`/api/v1/profiles/${person}` : path`/api/v1/users/${person}`
}

/** Runs what is about a segment; when there is none of this slug, the error says which was perhaps meant. */
export function aboutSegment<T>(api: Api, slug: string, work: () => Promise<T>): Promise<T> {
  const known = async () => {
    const { data } = await api.get<{ data: Segment[] }>('/api/v1/segments')
    return data.map((segment) => segment.slug)
  }
  return suggesting(slug, { field: 'segment', known, lists: 'millrace segments' }, work)
}
