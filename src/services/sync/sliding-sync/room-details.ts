import type { Database } from '../../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../../storage/stores/events.js'
import type { RoomStaysStore } from '../../../storage/stores/room-stays.js'
import type { StateDelta, StateDeltasStore } from '../../../storage/stores/state-deltas.js'
import { EventFilter } from '../../../protocol/event-filter.js'
import type { UserId } from '../../../protocol/ids.js'
import { formatPaginationToken } from '../../../protocol/pagination-token.js'
import type { EventTail, TailSlice } from '../../events/event-tail.js'
import type { PartialRooms } from '../../events/partial-rooms.js'
import type { SyncViewer } from '../sync-request.js'
import type { Timeline, TimelineLoader } from '../timeline-loader.js'
import type { Connection, ConnectionChanges } from './connection.js'
import { MEMBER, type RequiredState } from './required-state.js'
import { isIn, isInvited, type RoomPlan } from './room-plan.js'
import { needOf, pickState, type RoomReads } from './state-picks.js'
import type { StateReader } from './state-reader.js'
import { stateKeyOf, type StateKey } from '../../../protocol/state-map.js'
import { groupBy } from '../../../util/group-by.js'

/** What there is to tell of a room that the user is or was in. */
export interface RoomDetail {
  readonly plan: RoomPlan
  /** Undefined: none was asked for. */
  readonly timeline: Timeline | undefined
  /** The required state that is new to the client. */
  readonly state: readonly StoredEvent[]
  /** Required state that has been taken away. */
  readonly removed: readonly StateDelta[]
  /** What gives the room its name and avatar. `isChanged`: that is news, whether there is one or not. */
  readonly name: RoomMeta
  readonly avatar: RoomMeta
  /** Who is in the room has changed, or the room is told anew. */
  readonly membersChanged: boolean
  /** The required state that the client has and follows from now on. */
  readonly followed: RequiredState
}

/** `event` is undefined where there is none, or where it does not matter since it is not news. */
export interface RoomMeta {
  readonly isChanged: boolean
  readonly event: StoredEvent | undefined
}

export interface DetailRequest {
  readonly viewer: SyncViewer
  readonly connection: Connection
  readonly changes: ConnectionChanges
  readonly ignored: ReadonlySet<UserId>
  readonly upTo: number
}

interface Parts {
  readonly timelines: TimelineLoader
  readonly states: StateReader
  readonly deltas: StateDeltasStore
  readonly events: EventsStore
  readonly stays: Pick<RoomStaysStore, 'listLast'>
  readonly tail: Pick<EventTail, 'between'>
  readonly partialRooms: Pick<PartialRooms, 'completedBetween'>
}

/** Timelines and state of the rooms that are told. */
export class RoomDetails {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Of the plans those for rooms that the user is or was in, in order; what was told is noted in the changes. */
  async load(plans: readonly RoomPlan[], request: DetailRequest): Promise<RoomDetail[]> {
    const inside = plans.filter(({ membership }) => !isInvited(membership))
    if (inside.length === 0) return []
    const left = await this.#leftStates(inside, request.viewer.userId)
    const shown = inside.filter(({ membership, roomNid }) => isIn(membership) || left.has(roomNid))
    const outside = inside.filter((plan) => !shown.includes(plan))
    const [timelines, deltas, own] = await Promise.all([
      this.#timelines(shown, request),
      this.#deltas(shown, left),
      this.#parts.events.getByNids(
        this.#db.reader,
        outside.map(({ eventNid }) => eventNid),
      ),
    ])
    const details = await this.#details(shown, { timelines, deltas, left }, request)
    const { userId } = request.viewer
    return [...details, ...outside.map((plan) => membershipOnly(plan, userId, own.get(plan.eventNid)))]
  }

  /**
   * The state at the end of the user's stay, of rooms that they were in and have left. What became of them after that (who
   * is thrown out may be banned later) shows nothing more of the room; where the client has it, it is not told again.
   */
  async #leftStates(plans: readonly RoomPlan[], userId: UserId): Promise<Map<number, LeftState>> {
    const gone = plans.filter(({ membership }) => !isIn(membership))
    if (gone.length === 0) return new Map()
    const q = this.#db.reader
    const stays = await this.#parts.stays.listLast(
      q,
      userId,
      gone.map(({ roomNid }) => roomNid),
    )
    const events = await this.#parts.events.getByNids(
      q,
      [...stays.values()].flatMap(({ end }) => end?.eventNid ?? []),
    )
    const left = new Map<number, LeftState>()
    for (const { roomNid, eventNid, after } of gone) {
      const end = stays.get(roomNid)?.end
      const snapshotNid = end && events.get(end.eventNid)?.stateAfter
      if (end === undefined || typeof snapshotNid !== 'number') continue
      const own = stateKeyOf(MEMBER, userId)
      if (end.eventNid === eventNid || after === undefined)
        left.set(roomNid, { snapshotNid, upTo: end.streamOrdering, since: [own, eventNid] })
    }
    return left
  }

  /** One load for each limit that is asked for. */
  async #timelines(
    plans: readonly RoomPlan[],
    { viewer, ignored, upTo }: DetailRequest,
  ): Promise<Map<number, Timeline>> {
    const byLimit = groupBy(
      plans.filter(({ config }) => config.timelineLimit > 0),
      ({ config }) => config.timelineLimit,
    )
    const afters = plans.flatMap(({ after }) => after ?? [])
    const tail = afters.length > 0 ? await this.#parts.tail.between(Math.min(...afters), upTo) : undefined
    const loaded = await Promise.all(
      [...byLimit].map(([limit, ofLimit]) =>
        this.#parts.timelines.load(
          ofLimit.map(({ roomNid, membership, after, isExpanded, upTo: end }) => ({
            roomNid,
            after: isExpanded ? undefined : after,
            upTo: end,
            isMember: membership === 'join',
          })),
          { userId: viewer.userId, filter: new EventFilter({ limit }), ignored, tail },
        ),
      ),
    )
    return new Map(loaded.flatMap((timelines) => [...timelines]))
  }

  /** What changed in rooms that the client has. */
  async #deltas(
    plans: readonly RoomPlan[],
    left: ReadonlyMap<number, LeftState>,
  ): Promise<Map<number, StateDelta[]>> {
    const windows = plans.flatMap(({ roomNid, after, ...plan }) => {
      const upTo = left.get(roomNid)?.upTo ?? plan.upTo
      return after === undefined || after >= upTo ? [] : [{ roomNid, after, upTo }]
    })
    const deltas = await this.#readDeltas(windows)
    return groupBy(deltas, ({ roomNid }) => roomNid)
  }

  async #readDeltas(
    windows: readonly { readonly roomNid: number; readonly after: number; readonly upTo: number }[],
  ): Promise<readonly StateDelta[]> {
    if (windows.length === 0) return []
    const after = Math.min(...windows.map((window) => window.after))
    const upTo = Math.max(...windows.map((window) => window.upTo))
    const tail = await this.#parts.tail.between(after, upTo)
    if (tail === undefined) return this.#parts.deltas.listForRooms(this.#db.reader, windows)
    return withinWindows(tail, windows)
  }

  async #details(
    plans: readonly RoomPlan[],
    { timelines, deltas, left }: LoadedRooms,
    request: DetailRequest,
  ): Promise<RoomDetail[]> {
    const reads = plans.map((plan): RoomReads => ({
      plan,
      timeline: timelines.get(plan.roomNid),
      deltas: deltas.get(plan.roomNid) ?? [],
      snapshotNid: left.get(plan.roomNid)?.snapshotNid,
    }))
    const states = await this.#parts.states.load(reads.map(needOf))
    const context = { ...request, isCompletion: (delta: StateDelta) => this.#isCompletion(delta) }
    const picks = reads.map((read) => {
      const { roomNid } = read.plan
      const since = left.get(roomNid)?.since
      return pickState(read, new Map([...(states.get(roomNid) ?? []), ...(since ? [since] : [])]), context)
    })
    const nids = picks.flatMap(({ state, name, avatar }) => [
      ...state.values(),
      ...(name.eventNid === undefined ? [] : [name.eventNid]),
      ...(avatar.eventNid === undefined ? [] : [avatar.eventNid]),
    ])
    const events = await this.#parts.events.getByNids(this.#db.reader, nids)
    const metaOf = ({ isChanged, eventNid }: (typeof picks)[number]['name']): RoomMeta => ({
      isChanged,
      event: eventNid === undefined ? undefined : events.get(eventNid),
    })
    return picks.map(({ read, state, removed, name, avatar, membersChanged, followed }) => ({
      plan: read.plan,
      timeline: read.timeline,
      state: [...state.values()].flatMap((nid) => events.get(nid) ?? []),
      removed,
      name: metaOf(name),
      avatar: metaOf(avatar),
      membersChanged,
      followed,
    }))
  }

  #isCompletion({ roomNid, streamOrdering }: StateDelta): boolean {
    return this.#parts.partialRooms.completedBetween(streamOrdering - 1, streamOrdering).includes(roomNid)
  }
}

interface LoadedRooms {
  readonly timelines: ReadonlyMap<number, Timeline>
  readonly deltas: ReadonlyMap<number, readonly StateDelta[]>
  readonly left: ReadonlyMap<number, LeftState>
}

/** A room that the user was in, as it was when they left. */
interface LeftState {
  readonly snapshotNid: number
  /** Where that was. */
  readonly upTo: number
  /** The only piece of state that they know of since: their membership as it is now. */
  readonly since: readonly [StateKey, number]
}

const NO_META: RoomMeta = { isChanged: false, event: undefined }

/**
 * Who was never in the room sees nothing of it but what became of their own membership. Where it is no more, since the
 * state of the room was resolved without it, that is news though no event says so.
 */
function membershipOnly(plan: RoomPlan, userId: UserId, own: StoredEvent | undefined): RoomDetail {
  const { config, roomNid, streamOrdering } = plan
  const events = own === undefined ? [] : [own]
  const prevBatch = formatPaginationToken({ streamOrdering })
  const isAsked = config.requiredState.matches(MEMBER, userId)
  const gone = { roomNid, streamOrdering, type: MEMBER, stateKey: userId, eventNid: null, prevEventNid: null }
  return {
    plan,
    timeline: config.timelineLimit === 0 ? undefined : { events, limited: false, prevBatch },
    state: isAsked ? events : [],
    removed: isAsked && own === undefined ? [gone] : [],
    name: NO_META,
    avatar: NO_META,
    membersChanged: own === undefined,
    followed: config.requiredState,
  }
}

function withinWindows(
  { deltas }: TailSlice,
  windows: readonly { readonly roomNid: number; readonly after: number; readonly upTo: number }[],
): StateDelta[] {
  const byRoom = new Map(windows.map((window) => [window.roomNid, window]))
  return deltas.filter(({ roomNid, streamOrdering }) => {
    const window = byRoom.get(roomNid)
    return window !== undefined && streamOrdering > window.after && streamOrdering <= window.upTo
  })
}
