// The two ways to name a person in a path: by user id, and by profile number for those without one. Both end at the
// profile that the id means today, after all merges.
import Type from 'typebox'
import { Value } from 'typebox/value'
import { fail } from '../runtime/errors.ts'
import { profileIdOfUser, survivingProfileId } from '../store/profiles.ts'
import type { Servers } from '../store/servers.ts'

export const UserParams = Type.Object({
  userId: Type.String({
    minLength: 1,
    maxLength: 256,
    description: 'The user id as it was sent',
    examples: ['user-42'],
  }),
})
export const ProfileParams = Type.Object({
  profileId: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, examples: [1234567] }),
})

export const PROFILE_DOORS = [
  {
    path: '/api/v1/users/:userId',
    tag: 'users',
    noun: 'user',
    params: UserParams,
    async resolve(servers: Servers, params: unknown): Promise<number> {
      const profileId = await profileIdOfUser(servers.home, Value.Parse(UserParams, params).userId)
      if (profileId === undefined) throw noSuchUser()
      return profileId
    },
    missing: noSuchUser,
  },
  {
    path: '/api/v1/profiles/:profileId',
    tag: 'profiles',
    noun: 'profile',
    params: ProfileParams,
    async resolve(servers: Servers, params: unknown): Promise<number> {
      const profileId = await survivingProfileId(servers, Value.Parse(ProfileParams, params).profileId)
      if (profileId === undefined) throw noSuchProfile()
      return profileId
    },
    missing: noSuchProfile,
  },
] as const

function noSuchUser() {
  return fail('not_found', 'there is no user with this id', { field: 'userId' })
}

function noSuchProfile() {
  return fail('not_found', 'there is no profile with this number', { field: 'profileId' })
}
