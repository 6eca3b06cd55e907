import { relationshipOf, type ChildrenDigest } from '../../protocol/event-relationships.js'
import type { EventId } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'
import type { EventTable } from './event-rows.js'
import { EVENT_COLUMNS, type EventRow, type EventsStore, type StoredEvent } from './events.js'
import { pushTo } from '../../util/group-by.js'

/** Which event answers which; written with the events. */
export const RELATIONSHIPS: EventTable = {
  table: 'event_relationships',
  options: {
    columns: {
      child_nid: 'integer',
      room_nid: 'integer',
      parent_id: 'text',
      rel_type: 'text',
      origin_server_ts: 'integer',
    },
    conflict: 'ignore',
  },
  rows: (writes) =>
    writes.flatMap(({ event, eventNid, room }) => {
      const relationship = relationshipOf(event)
      if (relationship === undefined) return []
      return {
        child_nid: eventNid,
        room_nid: room.roomNid,
        parent_id: relationship.parentId,
        rel_type: relationship.relType,
        origin_server_ts: event.originServerTs,
      }
    }),
}

export interface ChildrenOrder {
  readonly recentFirst: boolean
  readonly perParent: number
}

/** What counts as a child: not taken back, and accepted. */
const CHILD =
  'e.event_nid = c.child_nid AND e.rejected IS NULL AND e.soft_failed = 0 AND e.redacted_by IS NULL'
/** Children of one event that are counted. */
const MAX_COUNTED = 1_000

/** Threads by `m.relationship`, for any number of events with one statement. Index event_relationships_parent. */
export class EventRelationshipsStore {
  readonly #events: EventsStore

  constructor(events: EventsStore) {
    this.#events = events
  }

  /** The children of events of a room, by when they were sent. */
  async listChildren(
    q: Query,
    roomNid: number,
    parents: readonly EventId[],
    { recentFirst, perParent }: ChildrenOrder,
  ): Promise<Map<EventId, StoredEvent[]>> {
    const direction = recentFirst ? 'DESC' : 'ASC'
    const rows = await q.all<EventRow & { parent_id: EventId }>(
      `SELECT ${EVENT_COLUMNS}, c.parent_id FROM
         (SELECT c.child_nid, c.parent_id, ROW_NUMBER() OVER
            (PARTITION BY c.parent_id ORDER BY c.origin_server_ts ${direction}, c.child_nid ${direction}) AS place
          FROM event_relationships c JOIN events e ON ${CHILD}
          WHERE ${q.dialect.anyOf('c.parent_id', 'text')} AND c.room_nid = ?) AS c
       JOIN events e ON e.event_nid = c.child_nid WHERE c.place <= ? ORDER BY c.place`,
      [q.dialect.list(parents), roomNid, perParent],
    )
    const events = await this.#events.fromRows(q, rows)
    const children = new Map<EventId, StoredEvent[]>()
    for (const { parent_id: parentId, event_nid: nid } of rows) {
      const stored = events.get(nid)
      if (stored) pushTo(children, parentId, stored)
    }
    return children
  }

  /** The IDs and kinds of the children of events of a room; at most 1,000 of each. */
  async listKinds(
    q: Query,
    roomNid: number,
    parents: readonly EventId[],
  ): Promise<Map<EventId, Map<EventId, string>>> {
    const rows = await q.all<{ parent_id: EventId; event_id: EventId; rel_type: string }>(
      `SELECT n.parent_id, n.event_id, n.rel_type FROM
         (SELECT c.parent_id, c.rel_type, e.event_id, ROW_NUMBER() OVER
            (PARTITION BY c.parent_id ORDER BY c.origin_server_ts, c.child_nid) AS place
          FROM event_relationships c JOIN events e ON ${CHILD}
          WHERE ${q.dialect.anyOf('c.parent_id', 'text')} AND c.room_nid = ?) AS n
       WHERE n.place <= ${MAX_COUNTED}`,
      [q.dialect.list(parents), roomNid],
    )
    const kinds = new Map<EventId, Map<EventId, string>>()
    for (const { parent_id: parentId, event_id: eventId, rel_type: relType } of rows) {
      kinds.set(parentId, (kinds.get(parentId) ?? new Map<EventId, string>()).set(eventId, relType))
    }
    return kinds
  }

  /** What other servers have said of the children of events. By primary key. */
  async getTold(q: Query, eventNids: readonly number[]): Promise<Map<number, ChildrenDigest>> {
    const rows = await q.all<{ event_nid: number; counts: string; hash: string }>(
      `SELECT event_nid, counts, hash FROM told_children WHERE ${q.dialect.anyOf('event_nid', 'integer')}`,
      [q.dialect.list(eventNids)],
    )
    return new Map(
      rows.map(({ event_nid: nid, counts, hash }) => [
        nid,
        { counts: JSON.parse(counts) as ChildrenDigest['counts'], hash },
      ]),
    )
  }

  /** Remembers what another server says of the children of events. */
  async setTold(tx: Tx, told: ReadonlyMap<number, ChildrenDigest>): Promise<void> {
    const rows = [...told].map(([nid, { counts, hash }]) => ({
      event_nid: nid,
      counts: JSON.stringify(counts),
      hash,
    }))
    await tx.insertMany('told_children', rows, {
      columns: { event_nid: 'integer', counts: 'text', hash: 'text' },
      conflict: { key: ['event_nid'], update: ['counts', 'hash'] },
    })
  }
}
