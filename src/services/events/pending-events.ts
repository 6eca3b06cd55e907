import type { AuthChainPosition } from '../../storage/auth-reach.js'
import type { Database } from '../../storage/database.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { EventWrite } from '../../storage/stores/event-writer.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { EventId } from '../../protocol/ids.js'
import { redactEvent } from '../../protocol/redaction.js'

/** An event that has been decided on and waits for its commit: it cannot be read yet, and others build on it. */
export interface PendingEvent {
  readonly stored: StoredEvent
  /** Undefined where there is none, and where it can be read already. */
  readonly authPosition: AuthChainPosition | undefined
}

/** By nid. */
export type PendingEvents = ReadonlyMap<number, PendingEvent>

export const NOTHING_PENDING: PendingEvents = new Map()
const NONE: ReadonlySet<EventId> = new Set()

/** Looks events up among those that wait for their commit and those that can be read. */
export class EventLookup {
  readonly #db: Database
  readonly #events: EventsStore
  readonly #graph: EventGraphStore

  constructor(db: Database, stores: { events: EventsStore; graph: EventGraphStore }) {
    this.#db = db
    this.#events = stores.events
    this.#graph = stores.graph
  }

  /** Those that exist. No query when all are pending or in memory. */
  async byNids(nids: readonly number[], pending: PendingEvents): Promise<Map<number, StoredEvent>> {
    const found = new Map<number, StoredEvent>()
    const unread: number[] = []
    for (const nid of nids) {
      const waiting = pending.get(nid)
      if (waiting) found.set(nid, waiting.stored)
      else unread.push(nid)
    }
    if (unread.length === 0) return found
    const read = await this.#events.getByNids(this.#db.reader, unread)
    for (const [nid, stored] of read) found.set(nid, stored)
    return found
  }

  /** Those that exist. `absent`: cannot be read, as is known already. */
  async byIds(
    ids: readonly EventId[],
    pending: PendingEvents,
    absent: ReadonlySet<EventId> = NONE,
  ): Promise<Map<EventId, StoredEvent>> {
    const wanted = new Set(ids)
    const found = new Map<EventId, StoredEvent>()
    for (const { stored } of pending.values()) {
      if (wanted.delete(stored.event.eventId)) found.set(stored.event.eventId, stored)
    }
    for (const id of ids) if (absent.has(id)) wanted.delete(id)
    if (wanted.size === 0) return found
    const read = await this.#events.getByIds(this.#db.reader, [...wanted])
    for (const [id, stored] of read) found.set(id, stored)
    return found
  }

  /**
   * Takes those state events out of `events` that have no place in the auth chains, and gives them: memberships that
   * were received from outside of their rooms.
   */
  async takePlaceless(
    events: Map<EventId, StoredEvent>,
    pending: PendingEvents,
  ): Promise<Map<EventId, StoredEvent>> {
    const outliers = [...events.values()].filter(
      ({ event, streamOrdering, stateBefore }) =>
        streamOrdering === null && stateBefore === null && event.type === 'm.room.member' && event.isState(),
    )
    if (outliers.length === 0) return new Map()
    const positions = await this.authPositions(
      outliers.map(({ eventNid }) => eventNid),
      pending,
    )
    const placeless = outliers.filter(({ eventNid }) => !positions.has(eventNid))
    for (const { event } of placeless) events.delete(event.eventId)
    return new Map(placeless.map((stored) => [stored.event.eventId, stored]))
  }

  /** Where state events stand in the auth chains, as far as they exist. */
  async authPositions(
    nids: readonly number[],
    pending: PendingEvents,
  ): Promise<Map<number, AuthChainPosition>> {
    const found = new Map<number, AuthChainPosition>()
    const unread: number[] = []
    for (const nid of nids) {
      const position = pending.get(nid)?.authPosition
      if (position) found.set(nid, position)
      else unread.push(nid)
    }
    if (unread.length === 0) return found
    const read = await this.#graph.getAuthPositions(this.#db.reader, unread)
    for (const [nid, position] of read) found.set(nid, position)
    return found
  }
}

/** An event that is about to wait for its commit. */
export function toPending(write: Omit<EventWrite, 'stateChanges'>): PendingEvent {
  return { stored: toStored(write), authPosition: write.authPosition }
}

/** How an event will read once its row is committed. */
export function toStored(
  write: Omit<EventWrite, 'stateChanges'> & { readonly streamOrdering?: number | null },
): StoredEvent {
  return {
    event: write.redactedBy ? redactEvent(write.event) : write.event,
    eventNid: write.eventNid,
    roomNid: write.room.roomNid,
    streamOrdering: write.kind === 'outside' ? null : (write.streamOrdering ?? null),
    receivedTs: write.receivedTs,
    stateBefore: write.stateBefore,
    stateAfter: write.stateAfter,
    rejected: write.rejected,
    softFailed: write.softFailed,
    redactedBy: write.redactedBy?.eventId ?? null,
    relatesTo: write.relation.relatesTo,
    relType: write.relation.relType,
    threadRoot: write.relation.threadRoot,
    notifies: write.notifies,
  }
}
