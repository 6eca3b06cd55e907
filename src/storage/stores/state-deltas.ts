import type { Query } from '../database.js'
import type { TimelineWindow } from './timelines.js'

/** A change of one piece of a room's current state. */
export interface StateDelta {
  readonly roomNid: number
  readonly streamOrdering: number
  readonly type: string
  readonly stateKey: string
  /** The event that holds it from then on; null: nothing does. */
  readonly eventNid: number | null
  /** The event that held it before; null: nothing did. */
  readonly prevEventNid: number | null
}

interface Row {
  room_nid: number
  stream_ordering: number
  type: string
  state_key: string
  event_nid: number | null
  prev_event_nid: number | null
}

const COLUMNS = 'd.room_nid, d.stream_ordering, d.type, d.state_key, d.event_nid, d.prev_event_nid'

/** What changed in the current state of rooms, in stream order. */
export class StateDeltasStore {
  /** The changes within stretches of rooms, in order. By primary key prefix. */
  async listForRooms(q: Query, windows: readonly TimelineWindow[]): Promise<StateDelta[]> {
    if (windows.length === 0) return []
    const source = q.dialect.rowsFrom({ room_nid: 'integer', low: 'integer', high: 'integer' })
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM ${source} AS r CROSS JOIN current_state_deltas d
       WHERE d.room_nid = r.room_nid AND d.stream_ordering > r.low AND d.stream_ordering <= r.high
       ORDER BY d.stream_ordering`,
      [
        q.dialect.rows(
          windows.map(({ roomNid, after, upTo }) => ({ room_nid: roomNid, low: after, high: upTo })),
        ),
      ],
    )
    return rows.map(toDelta)
  }

  /** Rooms in which state of a type, with the empty key, changed in a stretch. Index current_state_deltas_stream. */
  async listRoomsOfType(
    q: Query,
    type: string,
    { after, upTo }: { readonly after: number; readonly upTo: number },
  ): Promise<number[]> {
    const rows = await q.all<{ room_nid: number }>(
      `SELECT DISTINCT d.room_nid FROM current_state_deltas d
       WHERE d.stream_ordering > ? AND d.stream_ordering <= ? AND d.type = ? AND d.state_key = ''`,
      [after, upTo, type],
    )
    return rows.map((row) => row.room_nid)
  }

  /** All changes of a stretch of the stream, in order. Index current_state_deltas_stream. */
  async listStream(q: Query, after: number, upTo: number): Promise<StateDelta[]> {
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM current_state_deltas d
       WHERE d.stream_ordering > ? AND d.stream_ordering <= ? ORDER BY d.stream_ordering`,
      [after, upTo],
    )
    return rows.map(toDelta)
  }
}

function toDelta(row: Row): StateDelta {
  return {
    roomNid: row.room_nid,
    streamOrdering: row.stream_ordering,
    type: row.type,
    stateKey: row.state_key,
    eventNid: row.event_nid,
    prevEventNid: row.prev_event_nid,
  }
}
