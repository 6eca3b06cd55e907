import type { Event } from '../../protocol/event.js'
import type { ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import { usersOfPattern } from '../../storage/stores/room-servers.js'
import type { StickyEvent, StickyEventsStore } from '../../storage/stores/sticky-events.js'
import type { Clock } from '../../util/clock.js'
import { pushTo } from '../../util/group-by.js'

interface Dependencies {
  readonly db: Database
  readonly clock: Clock
  readonly serverName: ServerName
  readonly stickyEvents: Pick<StickyEventsStore, 'listLocal'>
  readonly events: Pick<EventsStore, 'getByNids'>
}

/** A sticky event, and where it stands in the stream. */
export interface MissedStickyEvent {
  readonly event: Event
  readonly streamOrdering: number
}

/** Of all rooms that are asked for together. */
const MAX_EVENTS = 500

/**
 * The sticky events of our users that a destination may have missed: who catches up with a room gets its newest event and
 * asks for what it wants of the rest, but these must reach it; those that it has already do no harm.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4354
 */
export class MissedStickyEvents {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /**
   * By nid of the room, the oldest first; of the first rooms alone where all together have too many: those that have none
   * have an empty list. With `after`, those alone that are newer than it.
   */
  async list(roomNids: readonly number[], after?: number): Promise<Map<number, MissedStickyEvent[]>> {
    const { db, events } = this.#deps
    const { rooms, found } = await this.#find(roomNids, after)
    const missed = new Map<number, MissedStickyEvent[]>(rooms.map((roomNid) => [roomNid, []]))
    const stored = await events.getByNids(
      db.reader,
      found.map(({ eventNid }) => eventNid),
    )
    for (const { eventNid, roomNid, streamOrdering } of found) {
      const event = stored.get(eventNid)?.event
      if (event === undefined) continue
      pushTo(missed, roomNid, { event, streamOrdering })
    }
    return missed
  }

  /** Where the limit cuts something off, of fewer rooms: what is cut off could be that of any of them. */
  async #find(
    roomNids: readonly number[],
    after: number | undefined,
  ): Promise<{ rooms: readonly number[]; found: StickyEvent[] }> {
    const { db, clock, serverName, stickyEvents } = this.#deps
    const localPattern = usersOfPattern(serverName)
    const range = { after, now: clock.now(), limit: MAX_EVENTS, localPattern }
    let rooms = roomNids
    let found = await stickyEvents.listLocal(db.reader, rooms, range)
    while (found.length === MAX_EVENTS && rooms.length > 1) {
      rooms = rooms.slice(0, Math.ceil(rooms.length / 2))
      found = await stickyEvents.listLocal(db.reader, rooms, range)
    }
    return { rooms, found }
  }
}
