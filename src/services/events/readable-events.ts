import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import { notFound } from '../../protocol/errors.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'
import type { EventVisibility } from './event-visibility.js'
import type { RoomAccess, RoomView } from './room-access.js'

interface Parts {
  readonly events: EventsStore
  readonly access: Pick<RoomAccess, 'findView'>
  readonly visibility: Pick<EventVisibility, 'filter'>
}

/** Single events, for those who may read them. */
export class ReadableEvents {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** 404 `M_NOT_FOUND` when there is no such event in the room, and when the user may not read it. */
  async require(
    userId: UserId,
    roomId: RoomId,
    eventId: EventId,
  ): Promise<{ view: RoomView; stored: StoredEvent }> {
    const view = await this.#parts.access.findView(userId, roomId)
    if (!view) throw notFound('Event not found')
    return { view, stored: await this.requireIn(view, userId, eventId) }
  }

  /** The same whatever the room. */
  async requireAnywhere(userId: UserId, eventId: EventId): Promise<{ view: RoomView; stored: StoredEvent }> {
    const stored = await this.#parts.events.get(this.#db.reader, eventId)
    if (!stored) throw notFound('Event not found')
    return this.require(userId, stored.event.roomId, eventId)
  }

  /** The same in a room that the user may look into. */
  async requireIn(view: RoomView, userId: UserId, eventId: EventId): Promise<StoredEvent> {
    const stored = await this.#parts.events.get(this.#db.reader, eventId)
    if (stored?.roomNid !== view.room.roomNid) throw notFound('Event not found')
    const [readable] = await this.#parts.visibility.filter(userId, [stored])
    if (!readable) throw notFound('Event not found')
    return readable
  }
}
