import type { Database, Query } from '../../../storage/database.js'
import type { CurrentStateStore } from '../../../storage/stores/current-state.js'
import type { EventsStore } from '../../../storage/stores/events.js'
import type { RoomsStore } from '../../../storage/stores/rooms.js'
import type { SlidingSyncRoomsStore } from '../../../storage/stores/sliding-sync-rooms.js'
import type { RoomId, UserId } from '../../../protocol/ids.js'
import {
  looksAtNames,
  looksAtState,
  looksAtTags,
  matchesFilters,
  type FilterContext,
  type FilteredRoom,
  type RoomFilters,
} from './room-filters.js'
import type { RoomFacts } from './room-facts.js'
import type { FoldedRoomNames } from './folded-room-names.js'
import { combineConfigs, type ListRequest, type Range, type RoomConfig } from './sliding-request.js'
import { pushTo } from '../../../util/group-by.js'
import type { VisibleRoom } from './visible-rooms.js'

/** A window of a list: which rooms stand there. */
export interface ListWindow {
  readonly range: Range
  readonly rooms: readonly VisibleRoom[]
}

export interface ListResult {
  /** How many rooms pass the filters. */
  readonly count: number
  readonly windows: readonly ListWindow[]
}

export interface RoomListsRequest {
  readonly userId: UserId
  readonly upTo: number
  readonly lists: ReadonlyMap<string, ListRequest>
  readonly rooms: ReadonlyMap<number, VisibleRoom>
  readonly dmRooms: ReadonlySet<string>
}

export interface RoomListsResult {
  readonly lists: ReadonlyMap<string, ListResult>
  /** The rooms of all windows, by nid, and what is wanted of each. */
  readonly configs: ReadonlyMap<number, RoomConfig>
}

interface Parts {
  readonly store: SlidingSyncRoomsStore
  readonly rooms: RoomsStore
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
  readonly facts: RoomFacts
  readonly names: FoldedRoomNames
}

const SPACE_CHILD = 'm.space.child'
/** Spaces of one request whose children are read. */
const MAX_SPACES = 100

/**
 * Lists of rooms: filtered, those in which something happened last first, and the windows that are asked for.
 * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md#activity-ordering
 */
export class RoomLists {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async load(request: RoomListsRequest): Promise<RoomListsResult> {
    if (request.lists.size === 0) return { lists: new Map(), configs: new Map() }
    const sorted = [...request.rooms.values()].sort(byActivity)
    const judge = await this.#judge(request, sorted)
    const members = new Map<number, ListRequest[]>()
    const lists = new Map<string, ListResult>()
    for (const [name, list] of request.lists) {
      const rooms = sorted.filter((room) => judge(list.filters, room))
      const windows = windowsOf(rooms, list.ranges)
      for (const { room } of windows.flatMap((window) => window.rooms)) pushTo(members, room.roomNid, list)
      lists.set(name, { count: rooms.length, windows })
    }
    return { lists, configs: configsOf(members, request.lists) }
  }

  /** Reads no more than the filters look at. */
  async #judge(
    request: RoomListsRequest,
    rooms: readonly VisibleRoom[],
  ): Promise<(filters: RoomFilters, room: VisibleRoom) => boolean> {
    const { facts, names } = this.#parts
    const filters = [...request.lists.values()].map((list) => list.filters)
    const context = await this.#context(request)
    const known = filters.some(looksAtState) ? await facts.load(rooms, request.upTo) : NO_FACTS
    const called = filters.some(looksAtNames) ? await names.load(request.userId, rooms) : NO_NAMES
    return (filter, { room, membership }) =>
      matchesFilters(
        filter,
        {
          roomId: room.roomId,
          isInvite: membership === 'invite',
          known: known.get(room.roomNid),
          name: called.get(room.roomNid),
        },
        context,
      )
  }

  async #context({ userId, lists, rooms, dmRooms }: RoomListsRequest): Promise<FilterContext> {
    const filters = [...lists.values()].map((list) => list.filters)
    const q = this.#db.reader
    const tags = filters.some(looksAtTags)
      ? await this.#parts.store.listTags(q, userId)
      : new Map<RoomId, string[]>()
    const spaces = new Set(filters.flatMap((filter) => filter.spaces ?? []))
    return { dmRooms, tags, spaces: await this.#children(q, spaces, rooms) }
  }

  /** The rooms of those spaces that the user is in. */
  async #children(
    q: Query,
    spaces: ReadonlySet<string>,
    rooms: ReadonlyMap<number, VisibleRoom>,
  ): Promise<Map<string, Set<string>>> {
    const joined = [...rooms.values()]
      .filter(({ membership, room }) => membership === 'join' && spaces.has(room.roomId))
      .slice(0, MAX_SPACES)
    const children = new Map<string, Set<string>>()
    for (const { room } of joined) {
      const entries = await this.#parts.currentState.list(q, room.roomNid, [SPACE_CHILD])
      const events = await this.#parts.events.getByNids(
        q,
        entries.map(({ eventNid }) => eventNid),
      )
      const present = entries.filter(({ eventNid }) =>
        Array.isArray(events.get(eventNid)?.event.content['via']),
      )
      children.set(room.roomId, new Set(present.map(({ stateKey }) => stateKey)))
    }
    return children
  }
}

const NO_FACTS: ReadonlyMap<number, FilteredRoom['known']> = new Map()
const NO_NAMES: ReadonlyMap<number, string> = new Map()

/** What is wanted of each room by the lists that it stands in; what several rooms have in common is combined once. */
function configsOf(
  members: ReadonlyMap<number, readonly ListRequest[]>,
  lists: ReadonlyMap<string, ListRequest>,
): Map<number, RoomConfig> {
  const places = new Map([...lists.values()].map((list, place) => [list, place]))
  const known = new Map<string, RoomConfig>()
  const configs = new Map<number, RoomConfig>()
  for (const [roomNid, ofRoom] of members) {
    const key = ofRoom.map((list) => places.get(list)).join()
    const config = known.get(key) ?? combineAll(ofRoom)
    known.set(key, config)
    configs.set(roomNid, config)
  }
  return configs
}

/** By halves, so that many lists cost little more than their size. */
function combineAll(configs: readonly RoomConfig[]): RoomConfig {
  const [first, ...others] = configs
  if (first === undefined) throw new Error('A room without a list has no configuration')
  if (others.length === 0) return first
  const middle = configs.length >>> 1
  return combineConfigs(combineAll(configs.slice(0, middle)), combineAll(configs.slice(middle)))
}

/** The newest first; no two rooms are at the same place. */
function byActivity(a: VisibleRoom, b: VisibleRoom): number {
  return b.activity - a.activity || b.room.roomNid - a.room.roomNid
}

function windowsOf(rooms: readonly VisibleRoom[], ranges: readonly Range[] | undefined): ListWindow[] {
  const wanted: readonly Range[] = ranges ?? [[0, Math.max(0, rooms.length - 1)]]
  return wanted.map((range) => ({ range, rooms: rooms.slice(range[0], range[1] + 1) }))
}
