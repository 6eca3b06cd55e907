import type { StateDelta } from '../../../storage/stores/state-deltas.js'
import { splitStateKey, stateKeyOf, type StateKey } from '../../../protocol/state-map.js'
import type { Timeline } from '../timeline-loader.js'
import { memberKeyOf, type Connection, type ConnectionChanges } from './connection.js'
import { MEMBER, RequiredState } from './required-state.js'
import type { RoomPlan } from './room-plan.js'
import type { StateEntries, StateNeed } from './state-reader.js'

/** What was read of a room that is told. */
export interface RoomReads {
  readonly plan: RoomPlan
  /** Undefined: none was asked for. */
  readonly timeline: Timeline | undefined
  /** What changed since the client was told of the room, in order. */
  readonly deltas: readonly StateDelta[]
  /** The state when the user left, where they have. */
  readonly snapshotNid: number | undefined
}

/** An event that gives a room its name or avatar. */
export interface MetaPick {
  /** There is news to tell, if only that there is no such event any more. */
  readonly isChanged: boolean
  readonly eventNid: number | undefined
}

/** What of a room's state is told: nids of events. */
export interface StatePick {
  readonly read: RoomReads
  readonly state: ReadonlyMap<StateKey, number>
  /** What held required state that is no more. */
  readonly removed: readonly StateDelta[]
  readonly name: MetaPick
  readonly avatar: MetaPick
  readonly membersChanged: boolean
  /** The required state that the client has and follows from now on. */
  readonly followed: RequiredState
}

/** What the client has, and what is known about changes. */
export interface PickContext {
  readonly connection: Connection
  readonly changes: ConnectionChanges
  /** Whether a change is that the members of the room have become known. */
  readonly isCompletion: (delta: StateDelta) => boolean
}

const NAME = 'm.room.name'
const AVATAR = 'm.room.avatar'

/** Which state has to be read to tell a room. */
export function needOf(read: RoomReads): StateNeed {
  const { plan, snapshotNid } = read
  const { roomNid, upTo, after, config, memory } = plan
  const pieces: (readonly [string, string])[] = [...lazyMembersOf(read)].map((userId) => [MEMBER, userId])
  // Where people have come or gone, it matters whether the room is named after them.
  if (membersChanged(read)) pieces.push([NAME, ''])
  if (after === undefined) pieces.push([AVATAR, ''])
  const known = after === undefined ? RequiredState.none : memory.requiredState
  return { roomNid, upTo, snapshotNid, pieces, required: config.requiredState, known }
}

/**
 * What is told of what was read: the state that is newly asked for, what of the required state has changed, and the
 * members that the timeline needs, unless the client has them. Notes which members are sent.
 */
export function pickState(read: RoomReads, entries: StateEntries, context: PickContext): StatePick {
  const { connection, changes } = context
  const { roomNid, after, config, memory } = read.plan
  const { requiredState } = config
  const isFollowed = (type: string, stateKey: string): boolean =>
    after !== undefined && memory.requiredState.matches(type, stateKey)
  const state = new Map<StateKey, number>()
  for (const [key, eventNid] of entries) {
    const [type, stateKey] = splitStateKey(key)
    if (requiredState.matches(type, stateKey) && !isFollowed(type, stateKey)) state.set(key, eventNid)
  }
  const last = new Map(read.deltas.map((delta) => [stateKeyOf(delta.type, delta.stateKey), delta]))
  const removed = addChanges(read, last, { state, context })
  for (const userId of lazyMembersOf(read)) {
    const key = stateKeyOf(MEMBER, userId)
    const eventNid = entries.get(key)
    if (eventNid === undefined || isFollowed(MEMBER, userId)) continue
    if (after === undefined || connection.sentMember(roomNid, userId) !== eventNid) state.set(key, eventNid)
  }
  for (const [key, eventNid] of requiredState.lazyMembers ? state : []) {
    const [type, stateKey] = splitStateKey(key)
    if (type === MEMBER) changes.members.set(memberKeyOf(roomNid, stateKey), eventNid)
  }
  const isNew = after === undefined
  const followed = isNew
    ? requiredState
    : memory.requiredState.followedBy(
        requiredState,
        last.size === 0 ? undefined : (type, key) => last.has(stateKeyOf(type, key)),
      )
  return {
    read,
    state,
    removed,
    name: metaOf(stateKeyOf(NAME, ''), { isNew, entries, last }),
    avatar: metaOf(stateKeyOf(AVATAR, ''), { isNew, entries, last }),
    membersChanged: membersChanged(read),
    followed,
  }
}

/** Adds what has changed to what is told; gives what of it is no more. */
function addChanges(
  { plan, timeline }: RoomReads,
  last: ReadonlyMap<StateKey, StateDelta>,
  {
    state,
    context: { connection, isCompletion },
  }: { readonly state: Map<StateKey, number>; readonly context: PickContext },
): StateDelta[] {
  const { requiredState } = plan.config
  // Who has loaded all members keeps their list right by what changes, as long as nothing is left out. All members are
  // not to be had before they are known, so that nobody has to be told of those who are found then.
  const tellsMembers = requiredState.lazyMembers && timeline?.limited !== true
  const isFollowed = (delta: StateDelta): boolean =>
    !isCompletion(delta) || connection.sentMember(plan.roomNid, delta.stateKey) !== undefined
  const removed: StateDelta[] = []
  for (const [key, delta] of last) {
    const isAsked = requiredState.matches(delta.type, delta.stateKey)
    if (!isAsked && !(tellsMembers && delta.type === MEMBER && isFollowed(delta))) continue
    if (delta.eventNid === null) removed.push(delta)
    else state.set(key, delta.eventNid)
  }
  return removed
}

function metaOf(
  key: StateKey,
  {
    isNew,
    entries,
    last,
  }: { isNew: boolean; entries: StateEntries; last: ReadonlyMap<StateKey, StateDelta> },
): MetaPick {
  const delta = last.get(key)
  if (delta === undefined) return { isChanged: isNew, eventNid: entries.get(key) }
  return { isChanged: true, eventNid: delta.eventNid ?? undefined }
}

/** Whose member events the timeline needs, where those are loaded lazily. */
function lazyMembersOf({ plan, timeline }: RoomReads): Set<string> {
  const wanted = new Set<string>()
  if (!plan.config.requiredState.lazyMembers) return wanted
  for (const { event } of timeline?.events ?? []) {
    wanted.add(event.sender)
    if (event.type === MEMBER && event.stateKey !== undefined) wanted.add(event.stateKey)
  }
  return wanted
}

function membersChanged({ plan, deltas }: RoomReads): boolean {
  return plan.after === undefined || deltas.some(({ type }) => type === MEMBER)
}
