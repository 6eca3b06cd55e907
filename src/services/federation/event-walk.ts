import type { EventId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { RoomTimelineStore } from '../../storage/stores/room-timeline.js'
import { PriorityQueue } from '../../util/priority-queue.js'

interface Parts {
  readonly events: EventsStore
  readonly timeline: RoomTimelineStore
}

export interface WalkRequest {
  /** Where the walk begins. */
  readonly from: readonly EventId[]
  /** Where it does not go on. */
  readonly until?: ReadonlySet<EventId>
  readonly minDepth?: number
  readonly limit: number
}

/** Walks the graph of a room backwards. */
export class EventWalk {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Events and what they follow, the deepest first, as far as they have a place in the room. The walk goes through
   * rejected events, but does not give them.
   */
  async run(room: RoomRecord, { from, until, minDepth = 0, limit }: WalkRequest): Promise<StoredEvent[]> {
    const known = new Map<EventId, StoredEvent | undefined>()
    const seen = new Set<EventId>(until)
    const queue = new PriorityQueue<StoredEvent>((a, b) => b.event.depth - a.event.depth)
    const found: StoredEvent[] = []
    // Rejected events could be very many.
    const maxSteps = limit * 2
    let frontier = from
    for (let step = 0; found.length < limit && step < maxSteps; step++) {
      const fresh = frontier.filter((id) => !seen.has(id))
      for (const id of fresh) seen.add(id)
      for (const stored of await this.#load(room, fresh, { known, limit })) queue.push(stored)
      const next = queue.pop()
      if (!next) break
      if (next.rejected === null && next.event.depth >= minDepth) found.push(next)
      frontier = next.event.depth >= minDepth ? next.event.prevEventIds : []
    }
    return found
  }

  /** With much of what will be asked for next: most of a room's history is a line. */
  async #load(
    room: RoomRecord,
    ids: readonly EventId[],
    { known, limit }: { known: Map<EventId, StoredEvent | undefined>; limit: number },
  ): Promise<StoredEvent[]> {
    const q = this.#db.reader
    const unknown = ids.filter((id) => !known.has(id))
    if (unknown.length > 0) {
      const loaded = await this.#parts.events.getByIds(q, unknown)
      for (const id of unknown) known.set(id, loaded.get(id))
      const depth = Math.max(...[...loaded.values()].map(({ event }) => event.depth))
      if (Number.isFinite(depth) && limit > 1) {
        const { events } = await this.#parts.timeline.page(q, {
          roomNid: room.roomNid,
          direction: 'b',
          from: { depth, streamOrdering: Number.MAX_SAFE_INTEGER },
          ceiling: Number.MAX_SAFE_INTEGER,
          limit,
        })
        for (const stored of events) known.set(stored.event.eventId, stored)
      }
    }
    return ids.flatMap((id) => {
      const stored = known.get(id)
      return stored?.roomNid === room.roomNid && stored.stateAfter !== null ? stored : []
    })
  }
}
