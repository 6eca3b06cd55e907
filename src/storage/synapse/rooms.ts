import type { SqlValue } from '../database.js'
import { isTrue } from './rows.js'
import type { SynapseSource } from './source.js'

/** What the events of a room come to, by which it is seen whether anything has changed. */
export interface RoomExtent {
  readonly events: number
  readonly outliers: number
  readonly rejected: number
  /** The largest position of an event in the stream; 0 where all are older than the room's first event here. */
  readonly newest: number
  /** The smallest: negative where history was fetched, otherwise 0. */
  readonly oldest: number
}

/** A room as its server knows it. */
export interface SourceRoom {
  readonly roomId: string
  /** Undefined where the server has not written it down. */
  readonly version: string | undefined
  readonly isPublic: boolean
  readonly creator: string | undefined
  readonly extent: RoomExtent
  /** The server has joined it with a part of its state, and has not got the rest yet. */
  readonly isPartial: boolean
}

interface RoomRow {
  room_id: string
  room_version: string | null
  is_public: number | null
  creator: string | null
}

interface ExtentRow {
  room_id: string
  events: number
  outliers: number
  rejected: number
  newest: number
  oldest: number
}

const NOTHING: RoomExtent = { events: 0, outliers: 0, rejected: 0, newest: 0, oldest: 0 }

/** All rooms that have events or a row, in the order of their IDs. */
export async function listRooms({ q, schema }: SynapseSource): Promise<SourceRoom[]> {
  const extents = await q.all<ExtentRow>(
    `SELECT e.room_id, COUNT(*) AS events, SUM(CASE WHEN e.outlier THEN 1 ELSE 0 END) AS outliers,
       COUNT(r.event_id) AS rejected, MAX(e.stream_ordering) AS newest, MIN(e.stream_ordering) AS oldest
     FROM events e LEFT JOIN rejections r ON r.event_id = e.event_id GROUP BY e.room_id`,
  )
  const rooms = await q.all<RoomRow>('SELECT room_id, room_version, is_public, creator FROM rooms')
  const partial = schema.hasTable('partial_state_rooms')
    ? await q.all<{ room_id: string }>('SELECT room_id FROM partial_state_rooms')
    : []
  const partialIds = new Set(partial.map((row) => row.room_id))
  const rowOf = new Map(rooms.map((row) => [row.room_id, row]))
  const extentOf = new Map(extents.map((row) => [row.room_id, toExtent(row)]))
  const ids = new Set([...rowOf.keys(), ...extentOf.keys()])
  return [...ids].sort().map((roomId) => {
    const row = rowOf.get(roomId)
    return {
      roomId,
      version: row?.room_version ?? undefined,
      isPublic: isTrue(row?.is_public),
      creator: row?.creator ?? undefined,
      extent: extentOf.get(roomId) ?? NOTHING,
      isPartial: partialIds.has(roomId),
    }
  })
}

function toExtent(row: ExtentRow): RoomExtent {
  return {
    events: row.events,
    outliers: row.outliers,
    rejected: row.rejected,
    newest: Math.max(0, row.newest),
    oldest: Math.min(0, row.oldest),
  }
}

/** The extent as text: two are the same exactly when their texts are. */
export function extentText({ events, outliers, rejected, newest, oldest }: RoomExtent): string {
  return [events, outliers, rejected, newest, oldest].join(' ')
}

/** The JSON of the create events of rooms, by room; rooms that are known from outside have none. */
export async function readCreateEvents(
  { q }: SynapseSource,
  roomIds: readonly string[],
): Promise<Map<string, string>> {
  if (roomIds.length === 0) return new Map()
  const params: SqlValue[] = [q.dialect.list(roomIds)]
  const rows = await q.all<{ room_id: string; json: string }>(
    `SELECT e.room_id, j.json FROM events e JOIN event_json j ON j.event_id = e.event_id
     LEFT JOIN rejections r ON r.event_id = e.event_id
     WHERE ${q.dialect.anyOf('e.room_id', 'text')} AND e.type = 'm.room.create' AND r.event_id IS NULL`,
    params,
  )
  return new Map(rows.map((row) => [row.room_id, row.json]))
}

/** The newest position of an event in the stream. */
export async function newestPosition({ q }: SynapseSource): Promise<number> {
  const row = await q.first<{ newest: number | null }>('SELECT MAX(stream_ordering) AS newest FROM events')
  return Math.max(0, row?.newest ?? 0)
}
