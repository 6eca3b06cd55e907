import type { Database } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { MemberRecord, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import { notFound } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { splitStateKey, stateKeyOf } from '../../protocol/state-map.js'

interface Stores {
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly currentState: CurrentStateStore
  readonly stateKeys: StateKeysStore
  readonly snapshots: StateSnapshotsStore
  readonly members: RoomMembersStore
}

/** The state of rooms, now and at any event. Says nothing about who may see it. */
export class RoomState {
  readonly #db: Database
  readonly #stores: Stores

  constructor(db: Database, stores: Stores) {
    this.#db = db
    this.#stores = stores
  }

  async findRoom(roomId: RoomId): Promise<RoomRecord | undefined> {
    return this.#stores.rooms.get(this.#db.reader, roomId)
  }

  /** The room, or 404 `M_NOT_FOUND`. */
  async requireRoom(roomId: RoomId): Promise<RoomRecord> {
    const room = await this.findRoom(roomId)
    if (!room) throw notFound('Unknown room')
    return room
  }

  /** The event that holds a piece of the current state. Undefined, too, when there is no such room. */
  async getStateEvent(roomId: RoomId, type: string, stateKey: string): Promise<StoredEvent | undefined> {
    const room = await this.findRoom(roomId)
    if (!room) return undefined
    const q = this.#db.reader
    const nid = await this.#stores.currentState.get(q, room.roomNid, type, stateKey)
    return nid === undefined ? undefined : (await this.#stores.events.getByNids(q, [nid])).get(nid)
  }

  /** The current state, or the part of it with these types. */
  async getState(roomId: RoomId, types?: readonly string[]): Promise<StoredEvent[]> {
    const room = await this.findRoom(roomId)
    if (!room) return []
    const q = this.#db.reader
    const entries = await this.#stores.currentState.list(q, room.roomNid, types)
    return this.#load(entries.map((entry) => entry.eventNid))
  }

  /** The event that held a piece of state in a snapshot. */
  async getStateEventAt(
    snapshotNid: number,
    type: string,
    stateKey: string,
  ): Promise<StoredEvent | undefined> {
    const q = this.#db.reader
    const key = stateKeyOf(type, stateKey)
    const keyNid = (await this.#stores.stateKeys.find(q, [key])).get(key)
    if (keyNid === undefined) return undefined
    const nid = (await this.#stores.snapshots.get(q, snapshotNid)).get(keyNid)
    return nid === undefined ? undefined : (await this.#stores.events.getByNids(q, [nid])).get(nid)
  }

  /** The state of a snapshot, or what the filter lets through of it. */
  async getStateAt(
    snapshotNid: number,
    filter?: (type: string, stateKey: string) => boolean,
  ): Promise<StoredEvent[]> {
    const q = this.#db.reader
    const snapshot = await this.#stores.snapshots.get(q, snapshotNid)
    if (!filter) return this.#load([...snapshot.events])
    const names = await this.#stores.stateKeys.names(q, [...snapshot.keys])
    const wanted: number[] = []
    for (const [keyNid, eventNid] of snapshot.entries()) {
      const name = names.get(keyNid)
      if (name !== undefined && filter(...splitStateKey(name))) wanted.push(eventNid)
    }
    return this.#load(wanted)
  }

  /** Somebody's current membership. Undefined when they never were in the room's state, or there is no such room. */
  async getMembership(roomId: RoomId, userId: UserId): Promise<MemberRecord | undefined> {
    const room = await this.findRoom(roomId)
    return room && this.#stores.members.get(this.#db.reader, room.roomNid, userId)
  }

  /** As `getMembership`, of several people of one room. Those who have none are left out. */
  async getMemberships(roomId: RoomId, userIds: readonly UserId[]): Promise<Map<UserId, MemberRecord>> {
    const room = await this.findRoom(roomId)
    return room ? this.#stores.members.getMany(this.#db.reader, room.roomNid, userIds) : new Map()
  }

  async #load(nids: readonly number[]): Promise<StoredEvent[]> {
    const events = await this.#stores.events.getByNids(this.#db.reader, nids)
    return nids.flatMap((nid) => events.get(nid) ?? [])
  }
}
