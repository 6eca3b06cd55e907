import { notFound } from '../../protocol/errors.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomTimelineStore } from '../../storage/stores/room-timeline.js'
import type { Direction } from '../../storage/timeline-range.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { RoomAccess } from '../events/room-access.js'

interface Parts {
  readonly access: RoomAccess
  readonly timeline: RoomTimelineStore
  readonly visibility: EventVisibility
}

const BATCH = 50
/** How many events are looked at when the closest are not for the user to see. */
const MAX_CANDIDATES = 1000

/** Finds events by time. */
export class EventByTimestamp {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The event closest to a time (ms since the epoch) that the user may see, at or after it (`f`), or at or before it
   * (`b`). 403 `M_FORBIDDEN` for rooms that the user may see nothing of, 404 `M_NOT_FOUND` when there is no such event.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event
   */
  async find(
    userId: UserId,
    roomId: RoomId,
    { ts, direction }: { ts: number; direction: Direction },
  ): Promise<{ eventId: EventId; originServerTs: number }> {
    const { room, ceiling } = await this.#parts.access.requireView(userId, roomId)
    for (let offset = 0; offset < MAX_CANDIDATES; offset += BATCH) {
      const query = { ts, direction, ceiling, limit: BATCH, offset }
      const candidates = await this.#parts.timeline.listByTimestamp(this.#db.reader, room.roomNid, query)
      const [closest] = await this.#parts.visibility.filter(userId, candidates)
      if (closest) return { eventId: closest.event.eventId, originServerTs: closest.event.originServerTs }
      if (candidates.length < BATCH) break
    }
    const where = direction === 'f' ? 'forward' : 'backward'
    throw notFound(`Unable to find event from ${ts} in ${where} direction`)
  }
}
