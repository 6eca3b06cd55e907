import { notFound } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import type { EventId, RoomAlias, RoomId, UserId } from '../../protocol/ids.js'
import type { Database, Query } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type {
  RoomCount,
  RoomEnd,
  RoomEventCounts,
  RoomListingStore,
  RoomRow,
} from '../../storage/stores/room-listing.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'

export interface RoomOverviewsDependencies {
  readonly db: Database
  readonly listing: RoomListingStore
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
  readonly members: RoomMembersStore
}

/** What lists of rooms may be sorted by. */
export type RoomOrder =
  | 'roomId'
  | 'name'
  | 'canonicalAlias'
  | 'joinedMembers'
  | 'localMembers'
  | 'stateEvents'
  | 'extremities'
  | 'events'
  | 'version'
  | 'creator'
  | 'encryption'
  | 'isFederated'
  | 'isPublic'
  | 'joinRule'
  | 'guestAccess'
  | 'historyVisibility'
  | 'createdTs'

export interface RoomQuery {
  /** Part of the name, the canonical alias or the ID of a room, in upper or lower case. */
  readonly search?: string | undefined
  readonly isPublic?: boolean | undefined
  /** Whether anybody is in the room. */
  readonly isEmpty?: boolean | undefined
  readonly orderBy: RoomOrder
  readonly isDescending: boolean
  /** How many to pass over. */
  readonly from: number
  readonly limit: number
}

/** What the current state says of a room. */
interface Facets {
  readonly name: string | undefined
  readonly topic: string | undefined
  readonly avatarUrl: string | undefined
  readonly canonicalAlias: string | undefined
  /** The algorithm. */
  readonly encryption: string | undefined
  readonly isFederated: boolean
  readonly joinRule: string | undefined
  readonly guestAccess: string | undefined
  readonly historyVisibility: string | undefined
  /** Where the room has gone on, after an upgrade. */
  readonly replacement: string | undefined
}

/** A room in a list. */
export type RoomEntry = Omit<RoomRow, 'roomNid'> & Facets & Readonly<Record<RoomCount, number>>

/** Everything about one room that administrators ask for first. */
export interface RoomOverview extends RoomEntry {
  readonly aliases: readonly string[]
  /** Of those of ours who are in the room. */
  readonly localDevices: number
  /** All of ours who ever were there have forgotten it. */
  readonly isForgotten: boolean
  /** By membership. */
  readonly members: Readonly<Record<string, number>>
  /** How much of the current state there is, by type. */
  readonly stateTypes: Readonly<Record<string, number>>
  /** The leaves of the graph, deepest first. */
  readonly ends: readonly RoomEnd[]
  readonly eventCounts: RoomEventCounts
  readonly snapshots: { readonly snapshots: number; readonly bytes: number }
  /** Events that are referred to and not held. */
  readonly missingEvents: number
}

const FACET_TYPES = [
  'm.room.create',
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.canonical_alias',
  'm.room.encryption',
  'm.room.join_rules',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.tombstone',
]
/** What is read of them stays when they are redacted. */
const SURVIVING_TYPES: ReadonlySet<string> = new Set([
  'm.room.create',
  'm.room.join_rules',
  'm.room.history_visibility',
])
const COUNTS: readonly RoomCount[] = ['localMembers', 'stateEvents', 'extremities', 'events']
/** Rooms whose state is read at a time. */
const CHUNK = 500
const MAX_ENDS = 100
/** What needs no state to sort by. */
const ROW_KEYS: ReadonlySet<string> = new Set<keyof RoomRow>([
  'roomId',
  'version',
  'creator',
  'isPublic',
  'createdTs',
  'joinedMembers',
])

/** What administrators see of rooms. Only reads; the lists look at every room there is. */
export class RoomOverviews {
  readonly #deps: RoomOverviewsDependencies

  constructor(deps: RoomOverviewsDependencies) {
    this.#deps = deps
  }

  /** A page of rooms, and how many there are in all. */
  async list(query: RoomQuery): Promise<{ rooms: RoomEntry[]; total: number }> {
    const { db, listing } = this.#deps
    return db.read('list_rooms', async (q) => {
      const found = (await listing.list(q)).filter(
        ({ isPublic, joinedMembers }) =>
          (query.isPublic === undefined || isPublic === query.isPublic) &&
          (query.isEmpty === undefined || (joinedMembers === 0) === query.isEmpty),
      )
      const sortable = await this.#sortable(q, found, query)
      const sign = query.isDescending ? -1 : 1
      sortable.sort((a, b) => sign * compare(a.key, b.key) || compare(a.row.roomId, b.row.roomId))
      const page = sortable.slice(query.from, query.from + query.limit)
      const rooms = await this.#describe(
        q,
        page.map(({ row }) => row),
      )
      return { rooms, total: sortable.length }
    })
  }

  /** Throws `M_NOT_FOUND` for a room that this server knows nothing of. */
  async check(roomId: RoomId): Promise<void> {
    await this.#requireNid(this.#deps.db.reader, roomId)
  }

  /** Throws as `check`. */
  async show(roomId: RoomId): Promise<RoomOverview> {
    const { db, listing } = this.#deps
    return db.read('show_room', async (q) => {
      const row = await listing.get(q, roomId)
      if (row === undefined) throw notFound(`There is no room ${roomId}`)
      const { roomNid } = row
      const [entry] = await this.#describe(q, [row])
      const stateTypes = await listing.countStateTypes(q, roomNid)
      const members = await listing.countMembers(q, roomNid)
      const ours = await listing.countOurs(q, roomNid)
      return {
        ...entry!,
        aliases: await listing.listAliases(q, roomNid),
        localDevices: ours.devices,
        isForgotten: ours.isForgotten,
        members: Object.fromEntries(members.map(({ membership, n }) => [membership, n])),
        stateTypes: Object.fromEntries(stateTypes.map(({ type, n }) => [type, n])),
        ends: await listing.listEnds(q, roomNid, MAX_ENDS),
        eventCounts: await listing.countEvents(q, roomNid),
        snapshots: await listing.countSnapshots(q, roomNid),
        missingEvents: await listing.countMissing(q, roomNid),
      }
    })
  }

  /** The leaves of the graph, deepest first, at most 100. Throws `M_NOT_FOUND`. */
  async listEnds(
    roomId: RoomId,
  ): Promise<{ eventId: EventId; depth: number; receivedTs: number; stateAfter: number | null }[]> {
    const { db, listing, events } = this.#deps
    return db.read('list_ends_of_room', async (q) => {
      const ends = await listing.listEnds(q, await this.#requireNid(q, roomId), MAX_ENDS)
      const held = await events.getByIds(
        q,
        ends.map(({ eventId }) => eventId),
      )
      return ends.flatMap(({ eventId, depth }) => {
        const stored = held.get(eventId)
        return stored
          ? [{ eventId, depth, receivedTs: stored.receivedTs, stateAfter: stored.stateAfter }]
          : []
      })
    })
  }

  /** Who is in the room, in the order of their IDs. Throws `M_NOT_FOUND`. */
  async listMembers(roomId: RoomId): Promise<UserId[]> {
    const { db, members } = this.#deps
    return db.read('list_members_of_room', async (q) => {
      const joined = await members.listForRoom(q, await this.#requireNid(q, roomId), ['join'])
      return joined.map(({ userId }) => userId)
    })
  }

  /** The current state, or that of one type. Throws `M_NOT_FOUND`. */
  async listState(roomId: RoomId, type: string | undefined): Promise<Event[]> {
    const { db, currentState, events } = this.#deps
    return db.read('list_state_of_room', async (q) => {
      const roomNid = await this.#requireNid(q, roomId)
      const entries = await currentState.list(q, roomNid, type === undefined ? undefined : [type])
      const nids = entries.map(({ eventNid }) => eventNid)
      const found = await events.getByNids(q, nids)
      return nids.flatMap((nid) => found.get(nid)?.event ?? [])
    })
  }

  /** What rooms are called; rooms that are not there are absent. */
  async listNames(
    q: Query,
    roomIds: readonly RoomId[],
  ): Promise<Map<RoomId, Pick<Facets, 'name' | 'canonicalAlias'>>> {
    const rows = await this.#deps.listing.getMany(q, roomIds)
    const facets = await this.#facets(q, rows)
    return new Map(rows.map(({ roomId, roomNid }) => [roomId, facets.get(roomNid)!]))
  }

  async #requireNid(q: Query, roomId: RoomId): Promise<number> {
    const row = await this.#deps.listing.get(q, roomId)
    if (row === undefined) throw notFound(`There is no room ${roomId}`)
    return row.roomNid
  }

  /** The room of an alias of this server. */
  async findByAlias(alias: RoomAlias): Promise<RoomId | undefined> {
    return this.#deps.listing.findByAlias(this.#deps.db.reader, alias)
  }

  /** Those of the rooms that the query is for, with what they are to be sorted by. */
  async #sortable(
    q: Query,
    rows: readonly RoomRow[],
    { search, orderBy }: RoomQuery,
  ): Promise<{ row: RoomRow; key: SortKey }[]> {
    const counts = isCount(orderBy) ? await this.#deps.listing.count(q, orderBy) : undefined
    const needle = search?.toLowerCase()
    const readsState = needle !== undefined || (counts === undefined && !ROW_KEYS.has(orderBy))
    const sortable: { row: RoomRow; key: SortKey }[] = []
    for (let start = 0; start < rows.length; start += CHUNK) {
      const chunk = rows.slice(start, start + CHUNK)
      const facets = readsState ? await this.#facets(q, chunk) : new Map<number, Facets>()
      for (const row of chunk) {
        const known = facets.get(row.roomNid)
        if (needle !== undefined && !matches(needle, row, known)) continue
        const key = isCount(orderBy)
          ? (counts?.get(row.roomNid) ?? 0)
          : sortKey({ ...known, ...row }, orderBy)
        sortable.push({ row, key })
      }
    }
    return sortable
  }

  async #describe(q: Query, rows: readonly RoomRow[]): Promise<RoomEntry[]> {
    const nids = rows.map(({ roomNid }) => roomNid)
    const facets = await this.#facets(q, rows)
    const counts = new Map<RoomCount, Map<number, number>>()
    for (const what of COUNTS) counts.set(what, await this.#deps.listing.count(q, what, nids))
    return rows.map(({ roomNid, ...row }) => {
      const countOf = (what: RoomCount): number => counts.get(what)?.get(roomNid) ?? 0
      return {
        ...row,
        ...facets.get(roomNid)!,
        localMembers: countOf('localMembers'),
        stateEvents: countOf('stateEvents'),
        extremities: countOf('extremities'),
        events: countOf('events'),
      }
    })
  }

  async #facets(q: Query, rows: readonly RoomRow[]): Promise<Map<number, Facets>> {
    const roomNids = rows.map(({ roomNid }) => roomNid)
    const states = new Map(roomNids.map((roomNid) => [roomNid, new Map<string, JsonObject>()]))
    for (const { roomNid, type, json, isRedacted } of await this.#deps.listing.listState(
      q,
      roomNids,
      FACET_TYPES,
    )) {
      if (isRedacted && !SURVIVING_TYPES.has(type)) continue
      const { content } = JSON.parse(json) as JsonObject
      if (isJsonObject(content)) states.get(roomNid)?.set(type, content)
    }
    return new Map([...states].map(([roomNid, state]) => [roomNid, toFacets(state)]))
  }
}

type SortKey = string | number | boolean | undefined

function isCount(orderBy: RoomOrder): orderBy is RoomCount & RoomOrder {
  return (COUNTS as readonly string[]).includes(orderBy)
}

function sortKey(room: Partial<Facets> & RoomRow, orderBy: Exclude<RoomOrder, RoomCount>): SortKey {
  const key = room[orderBy]
  return typeof key === 'string' ? key.toLowerCase() : key
}

/** What is absent comes first. */
function compare(a: SortKey, b: SortKey): number {
  if (a === b) return 0
  if (a === undefined) return -1
  if (b === undefined) return 1
  return a < b ? -1 : 1
}

function matches(needle: string, { roomId }: RoomRow, facets: Facets | undefined): boolean {
  return [roomId, facets?.name, facets?.canonicalAlias].some((text) => text?.toLowerCase().includes(needle))
}

function toFacets(state: ReadonlyMap<string, JsonObject>): Facets {
  const text = (type: string, key: string): string | undefined => textOf(state.get(type)?.[key])
  return {
    name: text('m.room.name', 'name'),
    topic: text('m.room.topic', 'topic'),
    avatarUrl: text('m.room.avatar', 'url'),
    canonicalAlias: text('m.room.canonical_alias', 'alias'),
    encryption: text('m.room.encryption', 'algorithm'),
    isFederated: state.get('m.room.create')?.['m.federate'] !== false,
    joinRule: text('m.room.join_rules', 'join_rule'),
    guestAccess: text('m.room.guest_access', 'guest_access'),
    historyVisibility: text('m.room.history_visibility', 'history_visibility'),
    replacement: text('m.room.tombstone', 'replacement_room'),
  }
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
