import { notFound } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { RoomAccess } from '../events/room-access.js'
import type { RoomState } from '../events/room-state.js'

interface Parts {
  readonly access: RoomAccess
  readonly roomState: RoomState
  readonly clientEvents: ClientEvents
  /** Rooms whose members are not all known; without it, there are none. */
  readonly partialRooms?: Pick<PartialRooms, 'whenWhole'> | undefined
}

/** The state of rooms as far as users may see it: now, or when they left. */
export class RoomStateViews {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The whole state. 403 `M_FORBIDDEN` for rooms that the reader may see nothing of. Waits where this server does not
   * know all members yet.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidstate
   */
  async list(reader: EventReader, roomId: RoomId): Promise<JsonObject[]> {
    const { stateAt, room } = await this.#parts.access.requireView(reader.userId, roomId)
    await this.#parts.partialRooms?.whenWhole(room.roomNid)
    const state =
      stateAt === undefined
        ? await this.#parts.roomState.getState(roomId)
        : await this.#parts.roomState.getStateAt(stateAt)
    return this.#parts.clientEvents.serialize(reader, state, { purpose: 'state' })
  }

  /**
   * The content of one piece of state. 403 `M_FORBIDDEN` as for all of it, 404 `M_NOT_FOUND` where there is none.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey
   */
  async getContent(
    userId: UserId,
    roomId: RoomId,
    [type, stateKey]: readonly [string, string],
  ): Promise<JsonObject> {
    return (await this.#require(userId, roomId, [type, stateKey])).event.content
  }

  /** One piece of state as an event. Errors as for its content. */
  async getEvent(
    reader: EventReader,
    roomId: RoomId,
    [type, stateKey]: readonly [string, string],
  ): Promise<JsonObject> {
    const stored = await this.#require(reader.userId, roomId, [type, stateKey])
    return this.#parts.clientEvents.serializeOne(reader, stored, { purpose: 'state' })
  }

  async #require(
    userId: UserId,
    roomId: RoomId,
    [type, stateKey]: readonly [string, string],
  ): Promise<StoredEvent> {
    const { stateAt, room } = await this.#parts.access.requireView(userId, roomId)
    const find = (): Promise<StoredEvent | undefined> =>
      stateAt === undefined
        ? this.#parts.roomState.getStateEvent(roomId, type, stateKey)
        : this.#parts.roomState.getStateEventAt(stateAt, type, stateKey)
    let stored = await find()
    if (!stored && type === 'm.room.member') {
      await this.#parts.partialRooms?.whenWhole(room.roomNid)
      stored = await find()
    }
    if (!stored) throw notFound('The room has no such state')
    return stored
  }
}
