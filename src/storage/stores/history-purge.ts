import type { EventId } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'
import type { EventSearchStore } from './event-search.js'
import type { EventsStore, StoredEvent } from './events.js'
import { EVERYBODY } from './notifications.js'

interface Stores {
  readonly events: EventsStore
  readonly eventSearch: EventSearchStore
}

/** Takes the past out of rooms' timelines. */
export class HistoryPurgeStore {
  readonly #stores: Stores

  constructor(stores: Stores) {
    this.#stores = stores
  }

  /**
   * The first event of a room that stays when what was received by a time goes: the one that came next, or the last one of
   * all. Undefined where nothing was received by then. Index events_room_stream.
   */
  async firstToStay(q: Query, roomNid: number, ts: number): Promise<EventId | undefined> {
    const last = await q.first<{ event_id: string; stream_ordering: number }>(
      `SELECT event_id, stream_ordering FROM events
       WHERE room_nid = ? AND stream_ordering IS NOT NULL AND received_ts <= ?
       ORDER BY stream_ordering DESC LIMIT 1`,
      [roomNid, ts],
    )
    if (last === undefined) return undefined
    const next = await q.first<{ event_id: string }>(
      'SELECT event_id FROM events WHERE room_nid = ? AND stream_ordering > ? ORDER BY stream_ordering LIMIT 1',
      [roomNid, last.stream_ordering],
    )
    return (next ?? last).event_id as EventId
  }

  /**
   * What stands before a depth in the room's timeline, the deepest last. The ends of its history stay: new events refer to
   * them. Index events_room_depth.
   */
  async listBefore(q: Query, roomNid: number, depth: number, limit: number): Promise<StoredEvent[]> {
    const rows = await q.all<{ event_nid: number }>(
      `SELECT e.event_nid FROM events e
       WHERE e.room_nid = ? AND e.depth < ? AND e.stream_ordering IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM forward_extremities x WHERE x.room_nid = e.room_nid AND x.event_nid = e.event_nid)
       ORDER BY e.depth, e.stream_ordering LIMIT ?`,
      [roomNid, depth, limit],
    )
    const nids = rows.map((row) => row.event_nid)
    return [...(await this.#stores.events.getByNids(q, nids)).values()]
  }

  /**
   * Takes events out of the timeline. Those in `kept` remain as outliers: state, by which later events are judged, and
   * what only this server may have. The others are deleted. What is left of the history begins behind a gap, as if it
   * had never been held further, so that other servers can be asked for it.
   */
  async purge(tx: Tx, events: readonly StoredEvent[], kept: ReadonlySet<number>): Promise<void> {
    if (events.length === 0) return
    const nids = events.map(({ eventNid }) => eventNid)
    await openGaps(tx, nids)
    await closeGapsBefore(tx, events)
    await forgetPositions(tx, events)
    await tx.execute(`DELETE FROM relayed_events WHERE ${tx.dialect.anyOf('event_nid', 'integer')}`, [
      tx.dialect.list(nids),
    ])
    await makeOutliers(tx, [...kept])
    await this.#delete(
      tx,
      events.filter(({ eventNid }) => !kept.has(eventNid)),
    )
    await this.#stores.eventSearch.remove(tx, nids)
    tx.afterCommit(() => {
      for (const eventNid of kept) this.#stores.events.forget(eventNid)
    })
  }

  async #delete(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
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

/** Before what follows the events in the timeline there is a gap now. It has the nid that the event had. */
async function openGaps(tx: Tx, eventNids: readonly number[]): Promise<void> {
  const list = tx.dialect.list(eventNids)
  await tx.execute(
    `INSERT INTO missing_events (event_nid, event_id, room_nid)
     SELECT p.event_nid, p.event_id, p.room_nid FROM events p
     WHERE ${tx.dialect.anyOf('p.event_nid', 'integer')} AND EXISTS (
       SELECT 1 FROM event_edges d JOIN events c ON c.event_nid = d.event_nid
       WHERE d.prev_nid = p.event_nid AND c.stream_ordering IS NOT NULL
         AND NOT (${tx.dialect.anyOf('c.event_nid', 'integer')}))
     ON CONFLICT DO NOTHING`,
    [list, list],
  )
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

async function makeOutliers(tx: Tx, eventNids: readonly number[]): Promise<void> {
  if (eventNids.length === 0) return
  await tx.execute(
    `UPDATE events SET stream_ordering = NULL, state_before = NULL, state_after = NULL, notifies = 0
     WHERE ${tx.dialect.anyOf('event_nid', 'integer')}`,
    [tx.dialect.list(eventNids)],
  )
}
