import { notFound } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { EventVisibility } from './event-visibility.js'
import type { RoomAccess, RoomView } from './room-access.js'

/** Looks into rooms as administrators do: into all of them, as if they were there. */
export class UnhinderedAccess implements Pick<RoomAccess, 'requireView' | 'findView'> {
  readonly #db: Database
  readonly #rooms: RoomsStore
  readonly #eventsPosition: () => number

  constructor(db: Database, parts: { readonly rooms: RoomsStore; readonly eventsPosition: () => number }) {
    this.#db = db
    this.#rooms = parts.rooms
    this.#eventsPosition = parts.eventsPosition
  }

  /** 404 `M_NOT_FOUND` when there is no such room. */
  async requireView(userId: UserId, roomId: RoomId): Promise<RoomView> {
    const view = await this.findView(userId, roomId)
    if (!view) throw notFound('Unknown room')
    return view
  }

  async findView(_userId: UserId, roomId: RoomId): Promise<RoomView | undefined> {
    const room = await this.#rooms.get(this.#db.reader, roomId)
    return room && { room, membership: 'join', stateAt: undefined, ceiling: this.#eventsPosition() }
  }
}

/** Sees all that has a place in a room's timeline, whatever the history visibility says. */
export class UnhinderedVisibility implements Pick<EventVisibility, 'filter'> {
  filter(_userId: UserId, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
    return Promise.resolve(
      events.filter(
        ({ streamOrdering, rejected, softFailed }) =>
          streamOrdering !== null && rejected === null && !softFailed,
      ),
    )
  }
}
