import type { Query } from '../database.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import { EVENT_COLUMNS, type EventRow, type EventsStore, type StoredEvent } from './events.js'

/** Annotations of one event by one sender that are looked at. */
const MAX_ANNOTATIONS = 500

/** Reactions and the like. */
export class AnnotationsStore {
  readonly #events: EventsStore

  constructor(events: EventsStore) {
    this.#events = events
  }

  /** What somebody has annotated an event with and not redacted, the newest first. Index events_annotations. */
  async listOfSender(q: Query, target: EventId, sender: UserId): Promise<StoredEvent[]> {
    const rows = await q.all<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM events e
       WHERE e.relates_to = ? AND e.sender = ? AND e.rel_type = 'm.annotation' AND e.redacted_by IS NULL
         AND e.rejected IS NULL
       ORDER BY e.event_nid DESC LIMIT ?`,
      [target, sender, MAX_ANNOTATIONS],
    )
    return [...(await this.#events.fromRows(q, rows)).values()]
  }

  /** Whether anything relates to an event: then there must be such an event, even if this server does not hold it. */
  async isTarget(q: Query, eventId: EventId): Promise<boolean> {
    const row = await q.first('SELECT 1 AS found FROM events WHERE relates_to = ? LIMIT 1', [eventId])
    return row !== undefined
  }
}
