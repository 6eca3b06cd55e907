import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { SharedRoomsStore } from '../../storage/stores/shared-rooms.js'
import type { StateDelta, StateDeltasStore } from '../../storage/stores/state-deltas.js'
import { serverNameOf, type UserId } from '../../protocol/ids.js'
import type { JsonValue } from '../../util/json.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { SyncFrame } from './sync-frame.js'

/** Other people with whom a user has come together in a room, or who have parted, since the client last looked. */
export interface Movements {
  readonly come: ReadonlySet<UserId>
  readonly gone: ReadonlySet<UserId>
  /** Who has been in a room with the user all along, as has become known now that its members are. */
  readonly found: ReadonlySet<UserId>
  /** Who was invited to a room of the user's or has knocked there: keys of messages may be for them already. */
  readonly expected: ReadonlySet<UserId>
  /** Whether the user has come to a room with users of other servers, which hear of the user's devices for that. */
  readonly meetsServers: boolean
}

interface Parts {
  readonly shared: SharedRoomsStore
  readonly deltas: StateDeltasStore
  readonly events: EventsStore
  /** Rooms whose members were not all known; without it, there are none. */
  readonly partialRooms?: Pick<PartialRooms, 'completedBetween'> | undefined
}

const NOBODY: Movements = {
  come: new Set(),
  gone: new Set(),
  found: new Set(),
  expected: new Set(),
  meetsServers: false,
}

/** Finds who has come to the rooms of a user and who has gone, themselves or because the user has. */
export class MemberMovements {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async load(frame: SyncFrame): Promise<Movements> {
    const { since, now, joined, newlyJoined, left, request } = frame
    if (since === undefined || since.events >= now.events) return NOBODY
    const q = this.#db.reader
    const leftRooms = left.filter(({ stay }) => stay !== undefined).map(({ room }) => room.roomNid)
    const come = new Set(await this.#parts.shared.listJoined(q, [...newlyJoined]))
    const meetsServers = [...come].some(
      (other) => serverNameOf(other) !== serverNameOf(request.viewer.userId),
    )
    const gone = new Set(await this.#parts.shared.listJoined(q, leftRooms))
    const deltas = await this.#memberDeltas(frame, [...joined.keys(), ...leftRooms], since.events)
    const nids = deltas.flatMap(({ eventNid, prevEventNid }) => [eventNid, prevEventNid])
    const events = await this.#parts.events.getByNids(
      q,
      nids.filter((nid) => nid !== null),
    )
    const membershipIn = (nid: number | null): JsonValue | undefined =>
      nid === null ? undefined : events.get(nid)?.event.content['membership']
    const expected = new Set<UserId>()
    const found = new Set<UserId>()
    for (const delta of deltas) {
      const { roomNid, stateKey, eventNid, prevEventNid } = delta
      const [before, after] = [membershipIn(prevEventNid), membershipIn(eventNid)]
      if (joined.has(roomNid) && (after === 'invite' || after === 'knock')) expected.add(stateKey as UserId)
      const isIn = after === 'join'
      if (isIn === (before === 'join')) continue
      if (!isIn) gone.add(stateKey as UserId)
      else if (joined.has(roomNid)) (this.#isCompletion(delta) ? found : come).add(stateKey as UserId)
    }
    for (const users of [come, gone, found, expected]) users.delete(request.viewer.userId)
    return { come, gone, found, expected, meetsServers }
  }

  /** Whether a change is that the members of the room have become known. */
  #isCompletion({ roomNid, streamOrdering }: StateDelta): boolean {
    const { partialRooms } = this.#parts
    return partialRooms?.completedBetween(streamOrdering - 1, streamOrdering).includes(roomNid) ?? false
  }

  async #memberDeltas(
    { tail, now }: SyncFrame,
    roomNids: readonly number[],
    after: number,
  ): Promise<StateDelta[]> {
    const windows = roomNids.map((roomNid) => ({ roomNid, after, upTo: now.events }))
    const deltas = tail?.deltas ?? (await this.#parts.deltas.listForRooms(this.#db.reader, windows))
    const followed = new Set(roomNids)
    return deltas.filter(({ type, roomNid }) => type === 'm.room.member' && followed.has(roomNid))
  }
}
