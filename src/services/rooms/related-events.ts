import type { EventId, RoomId } from '../../protocol/ids.js'
import { formatPaginationToken, type PaginationToken } from '../../protocol/pagination-token.js'
import type { Database } from '../../storage/database.js'
import type { RelationsStore } from '../../storage/stores/relations.js'
import type { Direction } from '../../storage/timeline-range.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { ReadableEvents } from '../events/readable-events.js'
import type { EventAggregations } from '../events/relations.js'

export interface RelatedEventsRequest {
  readonly roomId: RoomId
  readonly eventId: EventId
  readonly relType?: string | undefined
  readonly eventType?: string | undefined
  readonly direction: Direction
  readonly from: PaginationToken | undefined
  readonly to: PaginationToken | undefined
  readonly limit: number
  /** With events that relate to related events; undefined where the client did not say. */
  readonly recurse: boolean | undefined
}

interface Parts {
  readonly readable: ReadableEvents
  readonly relations: RelationsStore
  readonly visibility: EventVisibility
  readonly clientEvents: ClientEvents
  readonly aggregations: EventAggregations
}

const MAX_LIMIT = 100
/** How many relations are followed one after the other. */
const RECURSION_DEPTH = 3

/** Lists the events that relate to one. */
export class RelatedEvents {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The body of the answer to `/relations`. 404 `M_NOT_FOUND` when the reader may not read the parent.
   * https://spec.matrix.org/latest/client-server-api/#relationships-api
   */
  async list(reader: EventReader, request: RelatedEventsRequest): Promise<JsonObject> {
    const { roomId, eventId, recurse } = request
    const { view, stored } = await this.#parts.readable.require(reader.userId, roomId, eventId)
    const ignored = await this.#parts.aggregations.listIgnored(reader.userId)
    const page = await this.#parts.relations.pageOfChildren(this.#db.reader, {
      ...request,
      roomNid: view.room.roomNid,
      parentId: stored.event.eventId,
      ceiling: view.ceiling,
      limit: Math.min(request.limit, MAX_LIMIT),
      maxLevel: recurse === true ? RECURSION_DEPTH : 1,
      ignored,
    })
    const events = await this.#parts.visibility.filter(reader.userId, page.events)
    return {
      chunk: await this.#parts.clientEvents.serialize({ ...reader, ignored }, events),
      ...(page.end && { next_batch: formatPaginationToken(page.end) }),
      ...(request.from && { prev_batch: formatPaginationToken(request.from) }),
      ...(recurse !== undefined && { recursion_depth: recurse ? RECURSION_DEPTH : 1 }),
    }
  }
}
