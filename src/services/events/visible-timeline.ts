import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomTimelineStore, TimelineFilter } from '../../storage/stores/room-timeline.js'
import type { Direction, TimelineBound, TimelinePosition } from '../../storage/timeline-range.js'
import { selectsRoom, type EventFilter } from '../../protocol/event-filter.js'
import type { UserId } from '../../protocol/ids.js'
import type { EventVisibility } from './event-visibility.js'
import type { RoomView } from './room-access.js'

export interface VisibleRange {
  readonly direction: Direction
  readonly from: TimelineBound
  readonly to?: TimelineBound | undefined
  readonly limit: number
  readonly filter: EventFilter
  readonly ignored: ReadonlySet<UserId>
}

export interface VisibleEvents {
  readonly events: readonly StoredEvent[]
  /** Where there may be more; undefined when there is not. */
  readonly end: TimelinePosition | undefined
}

interface Parts {
  readonly timeline: RoomTimelineStore
  readonly visibility: Pick<EventVisibility, 'filter'>
}

/** How often the database is asked again when much of what it gives is not to be shown. */
const MAX_ROUNDS = 8
const MAX_BATCH = 500

/** The history of a room as one user sees it. */
export class VisibleTimeline {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The next events of a range that the user may see and the filter lets through. There may be fewer than `limit`, even
   * none, although `end` says that there are more: looking for them takes bounded time.
   */
  async read(userId: UserId, view: RoomView, range: VisibleRange): Promise<VisibleEvents> {
    const { direction, to, limit, filter, ignored } = range
    if (filter.passesNothing || !selectsRoom(filter, view.room.roomId)) return { events: [], end: undefined }
    const found: StoredEvent[] = []
    let from = range.from
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const page = await this.#parts.timeline.page(this.#db.reader, {
        roomNid: view.room.roomNid,
        direction,
        from,
        to,
        ceiling: view.ceiling,
        limit: Math.min(MAX_BATCH, (limit - found.length) * 2 ** round),
        filter: timelineFilter(filter),
      })
      const passing = page.events.filter(({ event }) => filter.matches(event))
      const readable = await this.#parts.visibility.filter(userId, passing, { ignored })
      const surplus = found.length + readable.length - limit
      found.push(...readable.slice(0, limit - found.length))
      if (surplus > 0) return { events: found, end: next(direction, found.at(-1)) }
      if (page.end === undefined) return { events: found, end: undefined }
      if (surplus === 0) return { events: found, end: page.end }
      from = page.end
    }
    return { events: found, end: from.depth === undefined ? undefined : { ...from, depth: from.depth } }
  }
}

/** The place after an event. */
export function positionAfter({ event, streamOrdering }: StoredEvent): TimelinePosition {
  return { depth: event.depth, streamOrdering: streamOrdering ?? 0 }
}

/** The place before an event. */
export function positionBefore({ event, streamOrdering }: StoredEvent): TimelinePosition {
  return { depth: event.depth, streamOrdering: (streamOrdering ?? 0) - 1 }
}

function next(direction: Direction, last: StoredEvent | undefined): TimelinePosition | undefined {
  return last && (direction === 'b' ? positionBefore(last) : positionAfter(last))
}

function timelineFilter(filter: EventFilter): TimelineFilter {
  return {
    types: filter.types,
    notTypes: filter.notTypes,
    senders: filter.senders && [...filter.senders],
    notSenders: [...filter.notSenders],
    containsUrl: filter.containsUrl,
    relatedByRelTypes: filter.relatedByRelTypes,
    relatedBySenders: filter.relatedBySenders,
  }
}
