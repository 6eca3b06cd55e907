import type { RoomId, UserId } from '../../protocol/ids.js'
import { formatStreamToken, type StreamToken } from '../../protocol/stream-token.js'
import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomTimelineStore } from '../../storage/stores/room-timeline.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { EventAggregations } from '../events/relations.js'
import type { RoomAccess } from '../events/room-access.js'
import type { Notifier } from '../streams/notifier.js'
import type { RoomWatches } from './room-watches.js'

interface Parts {
  readonly access: RoomAccess
  readonly visibility: EventVisibility
  readonly aggregations: Pick<EventAggregations, 'listIgnored'>
  readonly clientEvents: ClientEvents
  readonly timeline: RoomTimelineStore
  readonly notifier: Pick<Notifier, 'currentToken'>
  readonly watches: RoomWatches
  readonly clock: Clock
}

/** What somebody who looks into a room is shown in one answer. */
interface Page {
  readonly events: readonly StoredEvent[]
  readonly end: StreamToken
}

const MAX_EVENTS = 100
const MAX_TIMEOUT_MS = 10 * 60_000

/**
 * Follows a room without being in it, where its history is world-readable. Members may do so too.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3events
 */
export class RoomPeeking {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The body of the answer to `/events` with a room: as soon as something has happened there, or the time is over. 403
   * `M_FORBIDDEN` for rooms that the reader may not look into.
   */
  async follow(
    reader: EventReader,
    wish: { readonly roomId: RoomId; readonly from: StreamToken | undefined; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const { clock, notifier, watches } = this.#parts
    const deadline = clock.now() + Math.min(wish.timeoutMs, MAX_TIMEOUT_MS)
    const watch = watches.open(wish.roomId)
    try {
      const start = wish.from ?? notifier.currentToken()
      for (let from = start; ;) {
        const { events, end } = await this.#read(reader, wish.roomId, from)
        const isOver = events.length > 0 || !(await watch.wait(deadline - clock.now(), signal))
        if (isOver) return await this.#answer(reader, { start, events, end })
        from = end
      }
    } finally {
      watch.close()
    }
  }

  async #read({ userId }: { userId: UserId }, roomId: RoomId, from: StreamToken): Promise<Page> {
    const { access, aggregations, notifier, timeline, visibility } = this.#parts
    const now = notifier.currentToken()
    const view = await access.requireView(userId, roomId)
    const upTo = Math.min(now.events, view.ceiling)
    const range = { after: from.events, upTo }
    const found = await timeline.listStream(this.#db.reader, view.room.roomNid, range, MAX_EVENTS)
    const ignored = await aggregations.listIgnored(userId)
    const events = await visibility.filter(userId, found, { ignored })
    const last = found.length < MAX_EVENTS ? now.events : (found.at(-1)?.streamOrdering ?? now.events)
    return { events, end: { ...now, events: Math.max(last, from.events) } }
  }

  async #answer(
    reader: EventReader,
    { start, events, end }: Page & { readonly start: StreamToken },
  ): Promise<JsonObject> {
    return {
      start: formatStreamToken(start),
      end: formatStreamToken(end),
      chunk: await this.#parts.clientEvents.serialize(reader, events),
    }
  }
}
