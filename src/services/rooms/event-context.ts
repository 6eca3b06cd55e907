import type { EventFilter } from '../../protocol/event-filter.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'
import { formatPaginationToken } from '../../protocol/pagination-token.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { Backfill } from '../federation/backfill.js'
import type { ReadableEvents } from '../events/readable-events.js'
import type { EventAggregations } from '../events/relations.js'
import type { RoomAccess, RoomView } from '../events/room-access.js'
import type { RoomState } from '../events/room-state.js'
import { positionAfter, positionBefore, type VisibleTimeline } from '../events/visible-timeline.js'

export interface ContextRequest {
  readonly roomId: RoomId
  readonly eventId: EventId
  /** Of events before and after together. */
  readonly limit: number
  readonly filter: EventFilter
}

interface Parts {
  readonly access: Pick<RoomAccess, 'requireView'>
  readonly readable: ReadableEvents
  readonly timeline: VisibleTimeline
  readonly roomState: RoomState
  readonly clientEvents: ClientEvents
  readonly aggregations: EventAggregations
  /** Without it, what is held is all the history that there is. */
  readonly backfill?: Pick<Backfill, 'ensure'> | undefined
}

const MAX_LIMIT = 500

/** What happened around an event. */
export class EventContext {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The body of the answer to `/context`. 403 `M_FORBIDDEN` for rooms that the reader may see nothing of, 404
   * `M_NOT_FOUND` for events that they may not read.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidcontexteventid
   */
  async get(reader: EventReader, request: ContextRequest): Promise<JsonObject> {
    const view = await this.#parts.access.requireView(reader.userId, request.roomId)
    const stored = await this.#parts.readable.requireIn(view, reader.userId, request.eventId)
    const ignored = await this.#parts.aggregations.listIgnored(reader.userId)
    const knowing = { ...reader, ignored }
    const { before, after } = await this.#around(knowing, view, { stored, request })
    const newest = after.events.at(-1) ?? stored
    const oldest = before.events.at(-1) ?? stored
    const shown = [...before.events, stored, ...after.events]
    const json = await this.#parts.clientEvents.serialize(knowing, shown)
    const state = await this.#stateAt(newest, shown, request.filter)
    return {
      start: formatPaginationToken(before.end ?? positionBefore(oldest)),
      end: formatPaginationToken(after.end ?? positionAfter(newest)),
      events_before: json.slice(0, before.events.length),
      event: json[before.events.length]!,
      events_after: json.slice(before.events.length + 1),
      state: await this.#parts.clientEvents.serialize(knowing, state, { purpose: 'state' }),
    }
  }

  async #around(
    { userId, ignored }: { readonly userId: UserId; readonly ignored: ReadonlySet<UserId> },
    view: RoomView,
    { stored, request: { limit, filter } }: { stored: StoredEvent; request: ContextRequest },
  ) {
    const total = Math.min(limit, MAX_LIMIT)
    const older = Math.floor(total / 2)
    if (older > 0) await this.#parts.backfill?.ensure(view.room, positionBefore(stored), older)
    const read = (direction: 'b' | 'f', count: number) => {
      if (count === 0) return { events: [], end: undefined }
      const from = direction === 'b' ? positionBefore(stored) : positionAfter(stored)
      return this.#parts.timeline.read(userId, view, { direction, from, limit: count, filter, ignored })
    }
    const [before, after] = await Promise.all([read('b', older), read('f', total - older)])
    return { before, after }
  }

  /** The state at an event; of the members only the senders where they are loaded lazily. */
  async #stateAt(
    { stateAfter }: StoredEvent,
    shown: readonly StoredEvent[],
    filter: EventFilter,
  ): Promise<StoredEvent[]> {
    if (stateAfter === null) return []
    const senders = new Set<string>(shown.map(({ event }) => event.sender))
    const state = await this.#parts.roomState.getStateAt(
      stateAfter,
      (type, stateKey) =>
        filter.allowsType(type) &&
        (!filter.lazyLoadMembers || type !== 'm.room.member' || senders.has(stateKey)),
    )
    return state.filter(({ event }) => filter.matches(event))
  }
}
