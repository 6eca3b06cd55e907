import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { MissingEventsStore } from '../../storage/stores/missing-events.js'
import type { RedactionsStore } from '../../storage/stores/redactions.js'
import type { Event } from '../../protocol/event.js'
import type { EventId } from '../../protocol/ids.js'
import type { PendingEvents } from './pending-events.js'

interface Stores {
  readonly events: EventsStore
  readonly missingEvents: MissingEventsStore
  readonly redactions: RedactionsStore
}

/**
 * What the database says of several events of a room that are about to be taken in: read for all at once, where each
 * would ask for itself. Good under the room's lock, since nobody else writes to the room meanwhile; what the events
 * themselves bring about is left to be looked up.
 */
export class ReadAhead {
  /** What others call those that follow these events and came before them. */
  readonly gapNids: ReadonlyMap<EventId, number>
  readonly #absent: Set<EventId>
  readonly #redacted: ReadonlySet<EventId>

  constructor(parts: {
    gapNids: ReadonlyMap<EventId, number>
    absent: Set<EventId>
    redacted: ReadonlySet<EventId>
  }) {
    this.gapNids = parts.gapNids
    this.#absent = parts.absent
    this.#redacted = parts.redacted
  }

  /** Events that are not held, as far as they were asked for. */
  get absent(): ReadonlySet<EventId> {
    return this.#absent
  }

  /** Whether a redaction of the event may have come before it. */
  mayBeRedacted(eventId: EventId): boolean {
    return this.#redacted.has(eventId)
  }

  /** The event is being decided on: from now on it may be held. */
  forget(eventId: EventId): void {
    this.#absent.delete(eventId)
  }
}

/** Reads what the database says of events that are about to be taken in. */
export class AheadReader {
  readonly #db: Database
  readonly #stores: Stores

  constructor(db: Database, stores: Stores) {
    this.#db = db
    this.#stores = stores
  }

  /** @param pending of the room, at the beginning: some of it may be committed before it is asked for */
  async read(events: readonly Event[], pending: PendingEvents): Promise<ReadAhead> {
    const { reader } = this.#db
    const waiting = [...pending.values()].map(({ stored }) => stored.event)
    const ids = events.map(({ eventId }) => eventId)
    const references = events.flatMap((event) => [
      event.eventId,
      ...event.prevEventIds,
      ...event.authEventIds,
    ])
    const [held, gapNids, redacted] = await Promise.all([
      this.#stores.events.getByIds(reader, [...new Set(references)]),
      this.#stores.missingEvents.getNids(reader, ids),
      this.#stores.redactions.listTargets(reader, ids),
    ])
    const absent = new Set(references.filter((id) => !held.has(id)))
    for (const { eventId } of waiting) absent.delete(eventId)
    for (const { redacts } of [...events, ...waiting]) if (redacts !== undefined) redacted.add(redacts)
    return new ReadAhead({ gapNids, absent, redacted })
  }
}
