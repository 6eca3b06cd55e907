import type { InsertOptions, SqlValue } from '../database.js'
import { stickyUntil } from '../../protocol/sticky-events.js'
import type { PlacedEventWrite } from './event-writer.js'

/** A table that events add rows to, and the rows that they add. */
export interface EventTable {
  readonly table: string
  readonly options: InsertOptions
  readonly rows: (writes: readonly PlacedEventWrite[]) => Readonly<Record<string, SqlValue>>[]
}

/** The events themselves. */
export const EVENTS: EventTable = {
  table: 'events',
  options: {
    columns: {
      event_nid: 'integer',
      event_id: 'text',
      room_nid: 'integer',
      stream_ordering: 'integer',
      depth: 'integer',
      type: 'text',
      state_key: 'text',
      sender: 'text',
      origin_server_ts: 'integer',
      received_ts: 'integer',
      state_before: 'integer',
      state_after: 'integer',
      rejected: 'text',
      soft_failed: 'integer',
      redacted_by: 'text',
      contains_url: 'integer',
      relates_to: 'text',
      rel_type: 'text',
      thread_root: 'text',
      notifies: 'integer',
      json: 'text',
    },
  },
  rows: (writes) =>
    writes.map((write) => ({
      event_nid: write.eventNid,
      event_id: write.event.eventId,
      room_nid: write.room.roomNid,
      stream_ordering: write.kind === 'outside' ? null : write.streamOrdering,
      depth: write.event.depth,
      type: write.event.type,
      state_key: write.event.stateKey ?? null,
      sender: write.event.sender,
      origin_server_ts: write.event.originServerTs,
      received_ts: write.receivedTs,
      state_before: write.stateBefore,
      state_after: write.stateAfter,
      rejected: write.rejected,
      soft_failed: write.softFailed ? 1 : 0,
      redacted_by: write.redactedBy?.eventId ?? null,
      contains_url: typeof write.event.content['url'] === 'string' ? 1 : 0,
      relates_to: write.relation.relatesTo,
      rel_type: write.relation.relType,
      thread_root: write.relation.threadRoot,
      notifies: write.notifies ? 1 : 0,
      json: write.event.toText(),
    })),
}

/** The graph. */
export const EDGES: EventTable = {
  table: 'event_edges',
  options: { columns: { prev_nid: 'integer', event_nid: 'integer' }, conflict: 'ignore' },
  rows: (writes) =>
    writes.flatMap((write) =>
      write.prevNids.map((prevNid) => ({ prev_nid: prevNid, event_nid: write.eventNid })),
    ),
}

/** The transaction IDs under which clients sent them. */
export const TXNS: EventTable = {
  table: 'event_txns',
  options: {
    columns: {
      user_id: 'text',
      device_id: 'text',
      room_nid: 'integer',
      txn_id: 'text',
      event_nid: 'integer',
      ts: 'integer',
    },
  },
  rows: (writes) =>
    writes.flatMap(({ txn, room, eventNid, receivedTs }) =>
      txn
        ? {
            user_id: txn.userId,
            device_id: txn.deviceId,
            room_nid: room.roomNid,
            txn_id: txn.txnId,
            event_nid: eventNid,
            ts: receivedTs,
          }
        : [],
    ),
}

/** Those that are told to everybody in the room for a while. */
export const STICKY: EventTable = {
  table: 'sticky_events',
  options: {
    columns: {
      stream_ordering: 'integer',
      event_nid: 'integer',
      room_nid: 'integer',
      expires_ts: 'integer',
    },
    conflict: 'ignore',
  },
  rows: (writes) =>
    writes.flatMap(({ event, eventNid, room, receivedTs, kind, rejected, softFailed, streamOrdering }) => {
      const expiresTs = stickyUntil(event, receivedTs)
      if (expiresTs === undefined || expiresTs <= receivedTs || streamOrdering === null) return []
      if (kind !== 'live' || rejected !== null || softFailed) return []
      return {
        stream_ordering: streamOrdering,
        event_nid: eventNid,
        room_nid: room.roomNid,
        expires_ts: expiresTs,
      }
    }),
}

/** Those that would be, were it not for the current state of the room, which may change. */
export const WAITING_STICKY: EventTable = {
  table: 'waiting_sticky_events',
  options: {
    columns: { event_nid: 'integer', expires_ts: 'integer' },
    conflict: 'ignore',
  },
  rows: (writes) =>
    writes.flatMap(({ event, eventNid, receivedTs, kind, rejected, softFailed, isUnwanted }) => {
      if (kind !== 'live' || rejected !== null || !softFailed || isUnwanted) return []
      const expiresTs = stickyUntil(event, receivedTs)
      return expiresTs === undefined || expiresTs <= receivedTs
        ? []
        : { event_nid: eventNid, expires_ts: expiresTs }
    }),
}

/** Whose attention they want. */
export const HIGHLIGHTS: EventTable = {
  table: 'event_highlights',
  options: {
    columns: { user_id: 'text', room_nid: 'integer', stream_ordering: 'integer' },
    conflict: 'ignore',
  },
  rows: (writes) =>
    writes.flatMap((write) =>
      write.highlights.map((userId) => ({
        user_id: userId,
        room_nid: write.room.roomNid,
        stream_ordering: write.streamOrdering ?? 0,
      })),
    ),
}

/** For whom they count otherwise than for everybody. */
export const PUSH_EXCEPTIONS: EventTable = {
  table: 'event_push_exceptions',
  options: {
    columns: {
      user_id: 'text',
      room_nid: 'integer',
      stream_ordering: 'integer',
      quiet: 'integer',
      notifications: 'integer',
      highlights: 'integer',
    },
    conflict: 'ignore',
  },
  rows: (writes) =>
    writes.flatMap((write) =>
      (write.pushExceptions ?? []).map((exception) => ({
        user_id: exception.userId,
        room_nid: write.room.roomNid,
        stream_ordering: write.streamOrdering ?? 0,
        quiet: exception.quiet ? 1 : 0,
        notifications: exception.notifications,
        highlights: exception.highlights,
      })),
    ),
}
