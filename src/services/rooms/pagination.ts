import { formatPaginationToken, type PaginationToken } from '../../protocol/pagination-token.js'
import type { EventFilter } from '../../protocol/event-filter.js'
import type { RoomId } from '../../protocol/ids.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { Direction, TimelineBound } from '../../storage/timeline-range.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { EventAggregations } from '../events/relations.js'
import type { Backfill } from '../federation/backfill.js'
import type { RoomAccess, RoomView } from '../events/room-access.js'
import type { SenderMembers } from '../events/sender-members.js'
import { positionAfter, positionBefore, type VisibleTimeline } from '../events/visible-timeline.js'

export interface MessagesRequest {
  readonly roomId: RoomId
  readonly direction: Direction
  /** From the last (`b`) or first (`f`) event where it is undefined. */
  readonly from: PaginationToken | undefined
  readonly to: PaginationToken | undefined
  readonly limit: number
  readonly filter: EventFilter
}

interface Parts {
  readonly access: Pick<RoomAccess, 'requireView'>
  readonly timeline: VisibleTimeline
  readonly clientEvents: ClientEvents
  readonly senderMembers: SenderMembers
  readonly aggregations: EventAggregations
  /** Without it, what is held is all the history that there is. */
  readonly backfill?: Pick<Backfill, 'ensure'> | undefined
}

const MAX_LIMIT = 1000

/** Pages through the history of rooms. */
export class Pagination {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The body of the answer to `/messages`. 403 `M_FORBIDDEN` for rooms that the reader may see nothing of.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidmessages
   */
  async listMessages(reader: EventReader, request: MessagesRequest): Promise<JsonObject> {
    const view = await this.#parts.access.requireView(reader.userId, request.roomId)
    const ignored = await this.#parts.aggregations.listIgnored(reader.userId)
    const from = request.from ?? outermost(view, request.direction)
    if (request.limit === 0) {
      const token = formatPaginationToken(request.from ?? from)
      return { start: token, end: token, chunk: [] }
    }
    const limit = Math.min(request.limit, MAX_LIMIT)
    if (request.direction === 'b') await this.#parts.backfill?.ensure(view.room, from, limit)
    const { events, end } = await this.#parts.timeline.read(reader.userId, view, {
      ...request,
      from,
      limit,
      ignored,
    })
    const knowing = { ...reader, ignored }
    const start = request.from ?? startOf(request.direction, events) ?? { streamOrdering: view.ceiling }
    return {
      start: formatPaginationToken(start),
      // At the start of the room and at its end, too: every server says only with an empty page that there is nothing
      // more, and clients rely on it. Where other servers could not tell what comes before, they may when they are asked
      // again; and from the end people go on when something has happened.
      ...endOf(end ?? lastOf(request.direction, events)),
      chunk: await this.#parts.clientEvents.serialize(knowing, events),
      ...(request.filter.lazyLoadMembers && { state: await this.#senders(knowing, events) }),
    }
  }

  async #senders(reader: EventReader, events: readonly StoredEvent[]): Promise<JsonObject[]> {
    const members = await this.#parts.senderMembers.list(events)
    return this.#parts.clientEvents.serialize(reader, members, { purpose: 'state' })
  }
}

/** Where the history ends in the direction that it is read from. */
function outermost(view: RoomView, direction: Direction): TimelineBound {
  return direction === 'b'
    ? { streamOrdering: view.ceiling }
    : { depth: 0, streamOrdering: Number.MIN_SAFE_INTEGER }
}

function endOf(end: PaginationToken | undefined): { end?: string } {
  return end === undefined ? {} : { end: formatPaginationToken(end) }
}

function lastOf(direction: Direction, events: readonly StoredEvent[]): PaginationToken | undefined {
  const last = events.at(-1)
  return last && (direction === 'b' ? positionBefore(last) : positionAfter(last))
}

function startOf(direction: Direction, events: readonly StoredEvent[]): PaginationToken | undefined {
  const [first] = events
  return first && (direction === 'b' ? positionAfter(first) : positionBefore(first))
}
