// Who is who, said plainly: users joined by aliases are one person, and a message with a device alone belongs to the
// user of the device's earliest link (a message with both, or an alias of the device). Identity resolution is compared with it, in any order of arrival.
import { isBlockedId, type Mention } from '../../domain/identity.ts'

/** The person of every message, as a key that is the same for messages of one person. */
export function peopleOf(mentions: Mention[]): Map<string, string> {
  const userOf = (mention: Mention) =>
    mention.userId === undefined || (mention.anonymousId !== undefined && isBlockedId(mention.userId))
      ? undefined
      : mention.userId
  const parents = new Map<string, string>()
  const rootOf = (user: string): string => {
    const parent = parents.get(user)
    return parent === undefined ? user : rootOf(parent)
  }
  for (const mention of mentions) {
    const user = userOf(mention)
    if (user === undefined || mention.previousId === undefined || isBlockedId(mention.previousId)) continue
    const [a, b] = [rootOf(user), rootOf(mention.previousId)]
    if (a !== b) parents.set(b, a)
  }
  const owners = new Map<string, Mention & { userId: string }>()
  for (const mention of mentions) {
    const userId = userOf(mention)
    for (const device of [mention.anonymousId, mention.previousId]) {
      if (userId === undefined || device === undefined || isBlockedId(device)) continue
      const first = owners.get(device)
      const isEarlier =
        first === undefined ||
        mention.time < first.time ||
        (mention.time === first.time && mention.messageId < first.messageId)
      if (isEarlier) owners.set(device, { ...mention, userId })
    }
  }
  return new Map(
    mentions.map((mention) => {
      const anonymousId = mention.anonymousId ?? ''
      const user = userOf(mention) ?? owners.get(anonymousId)?.userId
      return [mention.messageId, user === undefined ? `device ${anonymousId}` : `user ${rootOf(user)}`]
    }),
  )
}

/** The same groups of messages, whatever the groups are called. */
export function groupsOf(personOf: Map<string, string | number>): string[] {
  const groups = new Map<string | number, string[]>()
  for (const [messageId, person] of personOf) groups.set(person, [...(groups.get(person) ?? []), messageId])
  return [...groups.values()].map((messages) => messages.sort().join(' ')).sort()
}
