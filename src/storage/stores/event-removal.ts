import type { Tx } from '../database.js'
import type { EventSearchStore } from './event-search.js'
import type { EventsStore, StoredEvent } from './events.js'
import { EVERYBODY } from './notifications.js'

export interface EventRemovalStores {
  readonly events: EventsStore
  readonly eventSearch: EventSearchStore
}

/** Takes events of one room out of all tables, in two steps: out of the timeline, and out of the database. */
export class EventRemoval {
  readonly #stores: EventRemovalStores

  constructor(stores: EventRemovalStores) {
    this.#stores = stores
  }

  /** Nobody is told of the events any more, or finds them, or asks what came before them. Their rows stay. */
  async takeOut(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
    const nids = events.map(({ eventNid }) => eventNid)
    await closeGapsBefore(tx, events)
    await forgetPositions(tx, events)
    await tx.execute(`DELETE FROM relayed_events WHERE ${tx.dialect.anyOf('event_nid', 'integer')}`, [
      tx.dialect.list(nids),
    ])
    await this.#stores.eventSearch.remove(tx, nids)
  }

  /**
   * Deletes events that have been taken out of the timeline, with all that hangs on them alone. What leads to them from the
   * events after them stays.
   */
  async delete(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
    if (events.length === 0) return
    const list = tx.dialect.list(events.map(({ eventNid }) => eventNid))
    const ids = events.map(({ event }) => event.eventId)
    const among = (column: string): string => tx.dialect.anyOf(column, 'integer')
    await tx.execute(`DELETE FROM event_relationships WHERE ${among('child_nid')}`, [list])
    for (const table of ['told_children', 'event_txns', 'waiting_sticky_events', 'events']) {
      await tx.execute(`DELETE FROM ${table} WHERE ${among('event_nid')}`, [list])
    }
    const targets = tx.dialect.anyOf('target_id', 'text')
    await tx.execute(
      `DELETE FROM redactions WHERE ${targets}
         AND NOT EXISTS (SELECT 1 FROM events e WHERE e.event_nid = redactions.redaction_nid)`,
      [tx.dialect.list(ids)],
    )
    await forgetRedactions(tx, events)
    // A redaction that is still there waits for its target: it applies again to what other servers give.
    await tx.execute(`UPDATE redactions SET applied = 0, pruned = 0 WHERE ${targets}`, [tx.dialect.list(ids)])
    tx.afterCommit(() => {
      this.#stores.events.forgetIds(ids)
      for (const { eventNid } of events) this.#stores.events.forget(eventNid)
    })
  }
}

/** Gaps that only the events stood behind lead nowhere any more. */
async function closeGapsBefore(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
  const previous = [...new Set(events.flatMap(({ event }) => event.prevEventIds))]
  if (previous.length === 0) return
  const ids = tx.dialect.list(previous)
  const nids = tx.dialect.list(events.map(({ eventNid }) => eventNid))
  const named = tx.dialect.anyOf('event_id', 'text')
  await tx.execute(
    `DELETE FROM event_edges WHERE ${tx.dialect.anyOf('event_nid', 'integer')} AND prev_nid IN (
       SELECT event_nid FROM events WHERE ${named} UNION SELECT event_nid FROM missing_events WHERE ${named})`,
    [nids, ids, ids],
  )
  await tx.execute(
    `DELETE FROM missing_events WHERE ${named}
       AND NOT EXISTS (SELECT 1 FROM event_edges d WHERE d.prev_nid = missing_events.event_nid)`,
    [ids],
  )
}

/**
 * Nothing that stands in the timeline at these positions is to be told of or counted any more. By primary key: of what
 * notified people there are rows of those who are or were in the room, and of everybody.
 */
async function forgetPositions(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
  const positions = events.flatMap(({ streamOrdering }) => streamOrdering ?? [])
  const roomNid = events[0]?.roomNid
  if (roomNid === undefined || positions.length === 0) return
  const among = tx.dialect.anyOf('stream_ordering', 'integer')
  const list = tx.dialect.list(positions)
  await tx.execute(`DELETE FROM sticky_events WHERE ${among}`, [list])
  for (const table of ['event_highlights', 'event_push_exceptions']) {
    await tx.execute(
      `DELETE FROM ${table} WHERE room_nid = ? AND ${among} AND (user_id = ? OR user_id IN (
         SELECT m.user_id FROM room_members m WHERE m.room_nid = ? AND m.is_local = 1))`,
      [roomNid, list, EVERYBODY, roomNid],
    )
  }
}

/** What redactions that are deleted were about, where that is not held either: nothing waits for the one or the other. */
async function forgetRedactions(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
  const redactions = events.flatMap(({ event, eventNid }) => {
    const target = event.type === 'm.room.redaction' ? event.redacts : undefined
    return target === undefined ? [] : { target_id: target, redaction_nid: eventNid }
  })
  if (redactions.length === 0) return
  await tx.execute(
    `DELETE FROM redactions WHERE (target_id, redaction_nid) IN (
       SELECT r.target_id, r.redaction_nid
       FROM ${tx.dialect.rowsFrom({ target_id: 'text', redaction_nid: 'integer' })} AS r)
       AND NOT EXISTS (SELECT 1 FROM events e WHERE e.event_id = redactions.target_id)`,
    [tx.dialect.rows(redactions)],
  )
}
