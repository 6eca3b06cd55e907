import type { StoredEvent } from '../../../storage/stores/events.js'
import type { MemberCounts } from '../../../storage/stores/room-summaries.js'
import type { Hero } from '../../../storage/stores/sliding-sync-rooms.js'
import type { JsonObject } from '../../../util/json.js'
import type { UnreadCount } from '../../events/unread-counts.js'
import type { RoomDetail, RoomMeta } from './room-details.js'
import { isIn, type RoomPlan } from './room-plan.js'

/** What is counted and looked up for rooms beside their events, by nid. */
export interface Summaries {
  readonly counts: ReadonlyMap<number, MemberCounts>
  readonly heroes: ReadonlyMap<number, readonly Hero[]>
  readonly unread: ReadonlyMap<number, UnreadCount>
  /** Where something last happened that brings a room to the fore. */
  readonly bumps: ReadonlyMap<number, number>
}

/** Events of these types bring a room to the fore. */
export const BUMP_TYPES: readonly string[] = [
  'm.room.create',
  'm.room.message',
  'm.room.encrypted',
  'm.sticker',
  'm.call.invite',
  'm.poll.start',
  'm.beacon_info',
]

const NOTHING_UNREAD: UnreadCount = { notifications: 0, highlights: 0 }

/** Whether a room is told anew, or with more of its past than before. */
export function isWide({ after, isExpanded }: RoomPlan): boolean {
  return after === undefined || isExpanded
}

/** Whether people give the room its name, and which may be news. */
export function needsHeroes({ name, membersChanged }: RoomDetail): boolean {
  return (membersChanged || name.isChanged) && textIn(name, 'name') === undefined
}

/** Whether the place of the room among others has to be looked up: the timeline does not tell. */
export function needsBump({ timeline, plan }: RoomDetail): boolean {
  return bumpIn(timeline?.events ?? []) === undefined && mayHaveMissedBump(timeline, plan)
}

/** Whether there is anything in a room's entry that the client does not have. */
export function hasNews({
  plan,
  timeline,
  state,
  removed,
  name,
  avatar,
  membersChanged,
}: RoomDetail): boolean {
  return (
    isWide(plan) ||
    plan.isDm !== plan.memory.isDm ||
    plan.isReadOn ||
    (timeline?.events.length ?? 0) + state.length + removed.length > 0 ||
    timeline?.limited === true ||
    name.isChanged ||
    avatar.isChanged ||
    membersChanged
  )
}

/** The members of a room's entry that are neither timeline nor state. */
export function roomJson(detail: RoomDetail, summaries: Summaries): JsonObject {
  const { plan, membersChanged } = detail
  const { roomNid, isDm, memory, after } = plan
  const isNew = after === undefined
  const counts = membersChanged ? summaries.counts.get(roomNid) : undefined
  const heroes = summaries.heroes.get(roomNid)
  const unread = summaries.unread.get(roomNid) ?? NOTHING_UNREAD
  const bump = bumpOf(detail, summaries)
  return {
    membership: plan.membership,
    ...(isNew && { initial: true }),
    ...((isDm || (!isNew && memory.isDm)) && { is_dm: isDm }),
    ...metaJson('name', detail.name, { field: 'name', isNew }),
    ...metaJson('avatar', detail.avatar, { field: 'url', isNew }),
    ...(heroes && heroes.length > 0 && { heroes: heroes.map(heroJson) }),
    ...(counts && { joined_count: counts.joined, invited_count: counts.invited }),
    ...(bump !== undefined && { bump_stamp: bump }),
    notification_count: unread.notifications,
    highlight_count: unread.highlights,
  }
}

/** The members of a room's entry that have to do with its timeline; `events` is the timeline as clients are given it. */
export function timelineJson(
  { plan, timeline }: RoomDetail,
  events: readonly JsonObject[],
  since: number | undefined,
): JsonObject {
  if (timeline === undefined) return {}
  return {
    ...(events.length > 0 && { timeline: [...events] }),
    prev_batch: timeline.prevBatch,
    // What reaches over what the client has already is no continuation: clients take it apart only where they are told.
    limited: timeline.limited || plan.isExpanded,
    num_live: since === undefined ? 0 : countLive(timeline.events, since),
    // The first is what it was called before the proposal was written down.
    ...(plan.isExpanded && { unstable_expanded_timeline: true, expanded_timeline: true }),
  }
}

/** The required state; what is no more is named by type and state key alone. */
export function stateJson({ removed }: RoomDetail, state: readonly JsonObject[]): JsonObject {
  const stubs = removed.map(({ type, stateKey }) => ({ type, state_key: stateKey }))
  return state.length + stubs.length > 0 ? { required_state: [...state, ...stubs] } : {}
}

function metaJson(
  name: string,
  meta: RoomMeta,
  { field, isNew }: { field: string; isNew: boolean },
): JsonObject {
  if (!meta.isChanged) return {}
  const text = textIn(meta, field)
  if (text !== undefined) return { [name]: text }
  return isNew ? {} : { [name]: null }
}

function textIn({ event }: RoomMeta, field: string): string | undefined {
  const text = event?.event.content[field]
  return typeof text === 'string' && text !== '' ? text : undefined
}

function heroJson({ userId, displayName, avatarUrl }: Hero): JsonObject {
  return {
    user_id: userId,
    ...(displayName !== undefined && { displayname: displayName }),
    ...(avatarUrl !== undefined && { avatar_url: avatarUrl }),
  }
}

/** The events at the end of the timeline that have happened since the client last looked. */
function countLive(events: readonly StoredEvent[], since: number): number {
  const last = events.findLastIndex(({ streamOrdering }) => (streamOrdering ?? 0) <= since)
  return events.length - 1 - last
}

/** Undefined: as before. For rooms that the user is not in, it is when they left. */
function bumpOf({ plan, timeline }: RoomDetail, { bumps }: Summaries): number | undefined {
  const ownPlace = Math.max(0, plan.streamOrdering)
  if (!isIn(plan.membership)) return ownPlace
  const shown = bumpIn(timeline?.events ?? [])
  if (shown !== undefined) return shown
  if (!mayHaveMissedBump(timeline, plan)) return undefined
  // Who has been told of a place keeps it, rather than to see the room sink to where the user came in.
  return bumps.get(plan.roomNid) ?? (plan.after === undefined ? ownPlace : undefined)
}

/** The last event that brings the room to the fore, of those that came to this server as they happened. */
function bumpIn(events: readonly StoredEvent[]): number | undefined {
  const bump = events.findLast(
    ({ event, streamOrdering }) => (streamOrdering ?? 0) > 0 && BUMP_TYPES.includes(event.type),
  )
  return bump?.streamOrdering ?? undefined
}

function mayHaveMissedBump(timeline: RoomDetail['timeline'], { after }: RoomPlan): boolean {
  return after === undefined || timeline?.limited !== false
}
