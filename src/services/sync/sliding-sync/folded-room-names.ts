import { stateKeyOf } from '../../../protocol/state-map.js'
import { pruneStrippedState } from '../../../protocol/stripped-state.js'
import type { UserId } from '../../../protocol/ids.js'
import type { Database, Query } from '../../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../../storage/stores/events.js'
import type { RoomStaysStore } from '../../../storage/stores/room-stays.js'
import type { SlidingSyncRoomsStore } from '../../../storage/stores/sliding-sync-rooms.js'
import { isJsonObject } from '../../../util/json.js'
import { foldText } from '../../../util/words.js'
import type { StatePoints } from '../../events/state-points.js'
import { isGone, type VisibleRoom } from './visible-rooms.js'

interface Parts {
  readonly events: Pick<EventsStore, 'getByNids'>
  readonly points: Pick<StatePoints, 'lookUp'>
  readonly store: Pick<SlidingSyncRoomsStore, 'listStatePieces' | 'listHeroes'>
  readonly stays: Pick<RoomStaysStore, 'listLast'>
}

type Names = Map<number, string>

const NAME = 'm.room.name'
const ALIAS = 'm.room.canonical_alias'
const NAME_KEY = stateKeyOf(NAME, '')

/**
 * What rooms are called, for those who look for one: their name, else their alias, else the people in them. All rooms at
 * once, in a number of statements that does not grow with theirs.
 */
export class FoldedRoomNames {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** By nid and folded; rooms without anything to be called by are left out. */
  async load(userId: UserId, rooms: readonly VisibleRoom[]): Promise<Names> {
    return this.#db.read('sliding_sync_room_names', async (q) => {
      const names: Names = new Map()
      await this.#addGone(q, userId, { rooms: rooms.filter(({ membership }) => isGone(membership)), names })
      const present = rooms.filter(({ membership }) => !isGone(membership))
      await this.#addReceived(
        q,
        present.filter(({ membership }) => membership !== 'join'),
        names,
      )
      await this.#addCurrent(
        q,
        present.filter(({ room }) => !names.has(room.roomNid)),
        names,
      )
      const joined = rooms.filter(({ membership }) => membership === 'join')
      await this.#addPeople(q, userId, { rooms: joined, names })
      return names
    })
  }

  /** Of rooms that the user was in and has left: as they were then. */
  async #addGone(
    q: Query,
    userId: UserId,
    { rooms, names }: { rooms: readonly VisibleRoom[]; names: Names },
  ): Promise<void> {
    if (rooms.length === 0) return
    const nids = rooms.map(({ room }) => room.roomNid)
    const stays = await this.#parts.stays.listLast(q, userId, nids)
    const ends = [...stays].flatMap(([roomNid, { end }]) =>
      end ? [{ roomNid, eventNid: end.eventNid }] : [],
    )
    const members = await this.#parts.events.getByNids(
      q,
      ends.map(({ eventNid }) => eventNid),
    )
    const pieces = ends.flatMap(({ eventNid, roomNid }) => {
      const snapshotNid = members.get(eventNid)?.stateAfter
      return typeof snapshotNid === 'number' ? [{ snapshotNid, key: NAME_KEY, roomNid }] : []
    })
    const points = await this.#parts.points.lookUp(q, pieces)
    for (const { snapshotNid, roomNid } of pieces)
      add(names, roomNid, points.get(snapshotNid, NAME_KEY)?.event.content['name'])
  }

  /** Of rooms that another server has told of: as it says. */
  async #addReceived(q: Query, rooms: readonly VisibleRoom[], names: Names): Promise<void> {
    if (rooms.length === 0) return
    const members = await this.#parts.events.getByNids(
      q,
      rooms.map(({ eventNid }) => eventNid),
    )
    for (const { eventNid, room } of rooms) addStripped(names, room.roomNid, members.get(eventNid))
  }

  async #addCurrent(q: Query, rooms: readonly VisibleRoom[], names: Names): Promise<void> {
    const entries = await this.#parts.store.listStatePieces(
      q,
      rooms.flatMap(({ room: { roomNid } }) =>
        [NAME, ALIAS].map((type) => ({ roomNid, type, stateKey: '' })),
      ),
    )
    const events = await this.#parts.events.getByNids(
      q,
      entries.map(({ eventNid }) => eventNid),
    )
    for (const wanted of [NAME, ALIAS])
      for (const { roomNid, type, eventNid } of entries)
        if (type === wanted) {
          const { name, alias } = events.get(eventNid)?.event.content ?? {}
          add(names, roomNid, type === NAME ? name : alias)
        }
  }

  async #addPeople(
    q: Query,
    userId: UserId,
    { rooms, names }: { rooms: readonly VisibleRoom[]; names: Names },
  ): Promise<void> {
    const unnamed = rooms.map(({ room }) => room.roomNid).filter((roomNid) => !names.has(roomNid))
    for (const [roomNid, heroes] of await this.#parts.store.listHeroes(q, userId, unnamed))
      add(names, roomNid, heroes.map((hero) => hero.displayName ?? hero.userId).join(', '))
  }
}

/** What is known already is better. */
function add(names: Names, roomNid: number, name: unknown): void {
  if (typeof name === 'string' && name !== '' && !names.has(roomNid)) names.set(roomNid, foldText(name))
}

function addStripped(names: Names, roomNid: number, member: StoredEvent | undefined): void {
  const unsigned = (member?.event.json as { readonly unsigned?: unknown } | undefined)?.unsigned
  if (!isJsonObject(unsigned)) return
  const state = pruneStrippedState(unsigned['invite_room_state'] ?? unsigned['knock_room_state'])
  add(names, roomNid, state.find(({ type }) => type === NAME)?.content['name'])
  add(names, roomNid, state.find(({ type }) => type === ALIAS)?.content['alias'])
}
