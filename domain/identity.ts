// Who an event belongs to. Pure: takes what the identities table says about the ids of a group of events and decides
// which ids get which profile, which profiles merge, and which anonymous id changes hands. The result does not depend
// on the order in which messages arrive:
//   - a user id and an anonymous id seen together belong to one profile, and an anonymous-only profile merges into the
//     user's (the older profile number wins, its bucket stays);
//   - two profiles that both have a user never merge through a shared device: the anonymous id belongs to the user of
//     its earliest link (event time, then message id), and moves when an earlier link turns up late;
//   - `alias` joins two user ids whatever they are; as an anonymous id, the previous id is linked like any other, so that
//     an alias on a shared device does not make two users one.

/** One event's ids. `time` in ms decides the earliest link; equal times are settled by message id. */
export type Mention = {
  userId?: string | undefined
  anonymousId?: string | undefined
  previousId?: string | undefined
  time: number
  messageId: string
}

/** An id as a key: kind and value, as in the identities table. */
export type IdKey = `u:${string}` | `a:${string}`

export type KnownId = {
  profileId: number
  /** The profile goes by some user id. */
  hasUser: boolean
  /** Of an anonymous id: its earliest link to a user; undefined = not linked. */
  link?: Link | undefined
}
export type Link = { time: number; messageId: string }

export type NewProfile = { ref: number; firstId: string; userId: string | undefined }

/** A profile number, or a negative reference to an entry of `newProfiles`. */
export type ProfileRef = number

export type Resolution = {
  profileOf: Map<IdKey, ProfileRef>
  newProfiles: NewProfile[]
  newIdentities: { key: IdKey; ref: ProfileRef; link: Link | undefined }[]
  /** Known anonymous ids whose earliest link (or owner) changed. */
  changedLinks: { key: IdKey; ref: ProfileRef; link: Link }[]
  /** Known profiles that were anonymous and now have a user id. */
  gainedUser: { profileId: ProfileRef; userId: string }[]
  merges: { loser: number; winner: number }[]
  /** Known profiles that were taken for anonymous and now are some user's: only right while they still are anonymous. */
  takenOver: number[]
  /** The events that carry only this anonymous id change from one profile to another. */
  moves: { anonymousId: string; from: number; to: ProfileRef }[]
}

type Node = {
  ref: ProfileRef
  firstId: string
  userId: string | undefined
  hasUser: boolean
  /** As it is stored, before this group. */
  hadUser: boolean
  parent: Node | undefined
}

/** Ids that stand for nobody (defaults of broken clients): they never join other ids. */
const BLOCKED = new Set([
  'null',
  'undefined',
  'none',
  'nil',
  'guest',
  'anonymous',
  'unknown',
  'user',
  'test',
  '0',
  '-1',
  'nan',
  'n/a',
  '[object object]',
  '00000000-0000-0000-0000-000000000000',
])

export function isBlockedId(id: string): boolean {
  return BLOCKED.has(id.trim().toLowerCase())
}

/** The ids of a mention that count: of two, one that stands for nobody is ignored (the user id, when both do). */
export function idsOf(mention: Mention): { user?: IdKey; anonymous?: IdKey; previous: IdKey[] } {
  const { userId, anonymousId } = mention
  const user: IdKey | undefined =
    userId === undefined || (anonymousId !== undefined && isBlockedId(userId)) ? undefined : `u:${userId}`
  const anonymous: IdKey | undefined =
    anonymousId === undefined || (user !== undefined && isBlockedId(anonymousId))
      ? undefined
      : `a:${anonymousId}`
  const previous: IdKey[] =
    mention.previousId === undefined || isBlockedId(mention.previousId) || user === undefined
      ? []
      : [`u:${mention.previousId}`, `a:${mention.previousId}`]
  return {
    ...(user === undefined ? {} : { user }),
    ...(anonymous === undefined ? {} : { anonymous }),
    previous,
  }
}

/** The id that decides whose event it is: the user where there is one. Undefined only for an event without ids. */
export function ownerKey(mention: Mention): IdKey | undefined {
  const ids = idsOf(mention)
  return ids.user ?? ids.anonymous
}

/** Decides profiles for all ids of the mentions. Same mentions and known ids, same answer, in any order. */
export function resolveIdentities(mentions: Mention[], known: Map<IdKey, KnownId>): Resolution {
  const state = createState(known)
  const ordered = [...mentions].sort((a, b) => a.time - b.time || (a.messageId < b.messageId ? -1 : 1))
  for (const mention of ordered) {
    const { user, anonymous, previous } = idsOf(mention)
    const at: Link = { time: mention.time, messageId: mention.messageId }
    if (user === undefined) {
      if (anonymous !== undefined) state.ensure(anonymous)
      continue
    }
    if (anonymous === undefined) state.ensure(user)
    else state.link(anonymous, user, at)
    for (const other of previous) {
      if (other.startsWith('a:')) state.link(other, user, at)
      else state.join(user, other)
    }
  }
  return state.result()
}

function createState(known: Map<IdKey, KnownId>) {
  const nodeOfProfile = new Map<number, Node>()
  const nodeOfId = new Map<IdKey, Node>()
  const linkOf = new Map<IdKey, Link>()
  const created: Node[] = []
  const touched = new Set<IdKey>()
  const changed = new Set<IdKey>()
  const moves: { anonymousId: string; from: Node; to: Node }[] = []

  const rootOf = (node: Node): Node => {
    let root = node
    while (root.parent !== undefined) root = root.parent
    return root
  }

  const find = (key: IdKey): Node | undefined => {
    const seen = nodeOfId.get(key)
    if (seen !== undefined) return rootOf(seen)
    const stored = known.get(key)
    if (stored === undefined) return undefined
    let node = nodeOfProfile.get(stored.profileId)
    if (node === undefined) {
      const { profileId, hasUser } = stored
      node = { ref: profileId, firstId: '', userId: undefined, hasUser, hadUser: hasUser, parent: undefined }
      nodeOfProfile.set(stored.profileId, node)
    }
    node.hasUser ||= stored.hasUser
    node.hadUser ||= stored.hasUser
    nodeOfId.set(key, node)
    if (stored.link !== undefined) linkOf.set(key, stored.link)
    return rootOf(node)
  }

  const attach = (key: IdKey, node: Node): void => {
    nodeOfId.set(key, node)
    touched.add(key)
    if (key.startsWith('u:')) {
      node.hasUser = true
      node.userId ??= key.slice(2)
    }
  }

  const create = (key: IdKey): Node => {
    const node: Node = {
      ref: -1 - created.length,
      firstId: key.slice(2),
      userId: undefined,
      hasUser: false,
      hadUser: false,
      parent: undefined,
    }
    created.push(node)
    attach(key, node)
    return node
  }

  const ensure = (key: IdKey): Node => find(key) ?? create(key)

  /** Older wins: stored profiles before new ones, lower numbers (earlier sequence) before higher. */
  const unite = (a: Node, b: Node): Node => {
    if (a === b) return a
    const [winner, loser] = isOlder(a.ref, b.ref) ? [a, b] : [b, a]
    loser.parent = winner
    winner.hasUser ||= loser.hasUser
    winner.userId ??= loser.userId
    return winner
  }

  const setLink = (anonymous: IdKey, link: Link): void => {
    const current = linkOf.get(anonymous)
    if (current !== undefined && !isEarlier(link, current)) return
    linkOf.set(anonymous, link)
    if (known.has(anonymous)) changed.add(anonymous)
  }

  const link = (anonymous: IdKey, user: IdKey, at: Link): void => {
    const device = find(anonymous)
    const person = find(user)
    if (device === undefined) {
      attach(anonymous, person ?? create(user))
      setLink(anonymous, at)
      return
    }
    if (device === person) {
      setLink(anonymous, at)
      return
    }
    if (!device.hasUser) {
      if (person === undefined) attach(user, device)
      else unite(device, person)
      setLink(anonymous, at)
      return
    }
    // A shared device: the anonymous id belongs to whoever was linked first.
    const target = person ?? create(user)
    const current = linkOf.get(anonymous)
    if (current === undefined || !isEarlier(at, current)) return
    moves.push({ anonymousId: anonymous.slice(2), from: device, to: target })
    nodeOfId.set(anonymous, target)
    setLink(anonymous, at)
  }

  const join = (a: IdKey, b: IdKey): void => {
    const left = ensure(a)
    const right = find(b)
    if (right === undefined) attach(b, left)
    else unite(left, right)
  }

  return {
    ensure,
    link,
    join,
    result: () =>
      collect({ known, nodeOfProfile, nodeOfId, linkOf, created, touched, changed, moves, rootOf }),
  }
}

function collect(state: {
  known: Map<IdKey, KnownId>
  nodeOfProfile: Map<number, Node>
  nodeOfId: Map<IdKey, Node>
  linkOf: Map<IdKey, Link>
  created: Node[]
  touched: Set<IdKey>
  changed: Set<IdKey>
  moves: { anonymousId: string; from: Node; to: Node }[]
  rootOf(node: Node): Node
}): Resolution {
  const refOf = (node: Node) => state.rootOf(node).ref
  const profileOf = new Map<IdKey, ProfileRef>()
  for (const [key, node] of state.nodeOfId) profileOf.set(key, refOf(node))
  const stored = [...state.nodeOfProfile.values()]
  return {
    profileOf,
    newProfiles: state.created
      .filter((node) => node.parent === undefined)
      .map((node) => ({ ref: node.ref, firstId: node.firstId, userId: node.userId })),
    newIdentities: [...state.touched]
      .filter((key) => !state.known.has(key))
      .map((key) => ({ key, ref: profileOf.get(key) ?? 0, link: state.linkOf.get(key) })),
    changedLinks: [...state.changed].flatMap((key) => {
      const link = state.linkOf.get(key)
      return link === undefined ? [] : [{ key, ref: profileOf.get(key) ?? 0, link }]
    }),
    gainedUser: stored.flatMap((node) =>
      node.parent === undefined && node.userId !== undefined
        ? [{ profileId: node.ref, userId: node.userId }]
        : [],
    ),
    merges: stored.flatMap((node) =>
      node.parent === undefined ? [] : [{ loser: node.ref, winner: refOf(node) }],
    ),
    takenOver: stored.filter((node) => !node.hadUser && state.rootOf(node).hasUser).map((node) => node.ref),
    moves: state.moves
      .filter((move) => refOf(move.from) !== refOf(move.to) && refOf(move.from) >= 0)
      .map((move) => ({ anonymousId: move.anonymousId, from: refOf(move.from), to: refOf(move.to) })),
  }
}

function isOlder(a: ProfileRef, b: ProfileRef): boolean {
  if (a >= 0 !== b >= 0) return a >= 0
  return a >= 0 ? a < b : a > b
}

function isEarlier(a: Link, b: Link): boolean {
  return a.time < b.time || (a.time === b.time && a.messageId < b.messageId)
}
