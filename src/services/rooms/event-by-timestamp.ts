import { notFound } from '../../protocol/errors.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomTimelineStore } from '../../storage/stores/room-timeline.js'
import type { Direction } from '../../storage/timeline-range.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { EventAggregations } from '../events/relations.js'
import type { RoomAccess, RoomView } from '../events/room-access.js'
import type { Backfill } from '../federation/backfill.js'
import type { RemoteTimestamps } from '../federation/remote-timestamps.js'

interface Parts {
  readonly access: Pick<RoomAccess, 'requireView'>
  readonly timeline: RoomTimelineStore
  readonly visibility: Pick<EventVisibility, 'filter'>
  readonly aggregations: Pick<EventAggregations, 'listIgnored'>
  /** Without it, what is held is all the history that there is. */
  readonly remote?: RemoteHistory | undefined
}

/** What other servers know of the past. */
export interface RemoteHistory {
  readonly backfill: Pick<Backfill, 'hasGaps'>
  readonly timestamps: Pick<RemoteTimestamps, 'find'>
}

interface TimestampQuery {
  readonly ts: number
  readonly direction: Direction
}

/** Who looks, and whose messages they do not want to see. */
interface Reader {
  readonly userId: UserId
  readonly ignored: ReadonlySet<UserId>
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
    query: TimestampQuery,
  ): Promise<{ eventId: EventId; originServerTs: number }> {
    const view = await this.#parts.access.requireView(userId, roomId)
    const ignored = await this.#parts.aggregations.listIgnored(userId)
    const held = await this.#findHeld({ userId, ignored }, view, query)
    const closest = (await this.#findElsewhere({ userId, ignored }, view, { ...query, held })) ?? held
    if (closest) return { eventId: closest.event.eventId, originServerTs: closest.event.originServerTs }
    const where = query.direction === 'f' ? 'forward' : 'backward'
    throw notFound(`Unable to find event from ${query.ts} in ${where} direction`)
  }

  async #findHeld(
    { userId, ignored }: Reader,
    { room, ceiling }: RoomView,
    { ts, direction }: TimestampQuery,
  ): Promise<StoredEvent | undefined> {
    for (let offset = 0; offset < MAX_CANDIDATES; offset += BATCH) {
      const query = { ts, direction, ceiling, limit: BATCH, offset }
      const candidates = await this.#parts.timeline.listByTimestamp(this.#db.reader, room.roomNid, query)
      const [closest] = await this.#parts.visibility.filter(userId, candidates, { ignored })
      if (closest || candidates.length < BATCH) return closest
    }
    return undefined
  }

  /** Where the history that is held has gaps, what is closer may lie in them. */
  async #findElsewhere(
    { userId, ignored }: Reader,
    { room, membership }: RoomView,
    { ts, direction, held }: TimestampQuery & { held: StoredEvent | undefined },
  ): Promise<StoredEvent | undefined> {
    const { remote, visibility } = this.#parts
    if (remote === undefined || membership !== 'join') return undefined
    const end = { depth: Number.MAX_SAFE_INTEGER, streamOrdering: Number.MAX_SAFE_INTEGER }
    if (!(await remote.backfill.hasGaps(room, end))) return undefined
    const closerThan = held?.event.originServerTs
    const found = await remote.timestamps.find(room, { ts, direction, closerThan })
    if (found === undefined) return undefined
    const [readable] = await visibility.filter(userId, [found], { ignored })
    return readable
  }
}
