import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { StickyEvent, StickyEventsStore } from '../../storage/stores/sticky-events.js'
import type { Clock } from '../../util/clock.js'
import { groupBy } from '../../util/group-by.js'

interface Parts {
  readonly db: Database
  readonly clock: Clock
  readonly store: Pick<StickyEventsStore, 'listInRooms' | 'listInStream'>
  readonly events: Pick<EventsStore, 'getByNids'>
}

/** A stretch of the events stream: after one position, up to and including another. */
export interface StickyWindow {
  readonly after: number
  readonly upTo: number
  readonly ignored: ReadonlySet<UserId>
}

/** Of one statement. */
const MAX_EVENTS = 1_000
/** More are not told at once: none of them is to be missed, but an answer has to fit into memory. */
const MAX_LISTED = 20_000
/** Where more rooms have to be looked at, it is cheaper to look at what is new everywhere. */
const MAX_ROOMS = 50

/**
 * The events that are told to everybody in a room for a while, whether they see the timeline of that time or not: any
 * member may read them. https://github.com/matrix-org/matrix-spec-proposals/pull/4354
 */
export class StickyEvents {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** By room nid, what became sticky in these rooms within a stretch and still is, the oldest first. */
  async list(roomNids: readonly number[], window: StickyWindow): Promise<Map<number, StoredEvent[]>> {
    const found: StickyEvent[] = []
    let after = window.after
    while (found.length < MAX_LISTED) {
      const page = await this.#find(roomNids, { ...window, after }, MAX_EVENTS)
      found.push(...page)
      const last = page.at(-1)
      if (last === undefined || page.length < MAX_EVENTS) break
      after = last.streamOrdering
    }
    return groupBy(await this.#read(found, window.ignored), roomOf)
  }

  /**
   * As `list`, at most `limit` events; `upTo`: how far it goes, where there are more than that.
   */
  async page(
    roomNids: readonly number[],
    window: StickyWindow,
    limit: number,
  ): Promise<{ rooms: Map<number, StoredEvent[]>; upTo: number }> {
    const found = await this.#find(roomNids, window, limit)
    const last = found.length < limit ? undefined : found.at(-1)?.streamOrdering
    return { rooms: groupBy(await this.#read(found, window.ignored), roomOf), upTo: last ?? window.upTo }
  }

  async #find(
    roomNids: readonly number[],
    { after, upTo }: StickyWindow,
    limit: number,
  ): Promise<StickyEvent[]> {
    const { db, store, clock } = this.#parts
    const range = { after, upTo, now: clock.now(), limit }
    if (after === 0 || roomNids.length <= MAX_ROOMS) return store.listInRooms(db.reader, roomNids, range)
    const everywhere = await store.listInStream(db.reader, { ...range, limit: MAX_EVENTS })
    if (everywhere.length === MAX_EVENTS) return store.listInRooms(db.reader, roomNids, range)
    const wanted = new Set(roomNids)
    return everywhere.filter(({ roomNid }) => wanted.has(roomNid)).slice(0, limit)
  }

  async #read(found: readonly StickyEvent[], ignored: ReadonlySet<UserId>): Promise<StoredEvent[]> {
    if (found.length === 0) return []
    const { db, events } = this.#parts
    const nids = found.map(({ eventNid }) => eventNid)
    const stored = await events.getByNids(db.reader, nids)
    return nids.flatMap((nid) => {
      const event = stored.get(nid)
      if (event?.redactedBy !== null || ignored.has(event.event.sender)) return []
      return [event]
    })
  }
}

function roomOf({ roomNid }: StoredEvent): number {
  return roomNid
}
