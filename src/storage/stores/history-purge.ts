import type { EventId } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'
import { EventRemoval, type EventRemovalStores } from './event-removal.js'
import type { StoredEvent } from './events.js'

/** Takes the past out of rooms' timelines. */
export class HistoryPurgeStore {
  readonly #stores: EventRemovalStores
  readonly #removal: EventRemoval

  constructor(stores: EventRemovalStores) {
    this.#stores = stores
    this.#removal = new EventRemoval(stores)
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
    await this.#removal.takeOut(tx, events)
    await makeOutliers(tx, [...kept])
    const others = events.filter(({ eventNid }) => !kept.has(eventNid))
    await this.#removal.delete(tx, others)
    tx.afterCommit(() => {
      for (const eventNid of kept) this.#stores.events.forget(eventNid)
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

async function makeOutliers(tx: Tx, eventNids: readonly number[]): Promise<void> {
  if (eventNids.length === 0) return
  await tx.execute(
    `UPDATE events SET stream_ordering = NULL, state_before = NULL, state_after = NULL, notifies = 0
     WHERE ${tx.dialect.anyOf('event_nid', 'integer')}`,
    [tx.dialect.list(eventNids)],
  )
}
