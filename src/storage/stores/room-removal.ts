import type { EventId, RoomId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { Tx } from '../database.js'
import type { EventSearchStore } from './event-search.js'
import type { EventsStore } from './events.js'
import type { RoomRecord, RoomsStore } from './rooms.js'

interface Stores {
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly eventSearch: EventSearchStore
}

/** Tables with few rows of a room. */
const SMALL = [
  'forward_extremities',
  'directory_entries',
  'directory_open_rooms',
  'room_aliases',
  'partial_state_rooms',
  'completed_rooms',
  'missed_rooms',
  'appservice_rooms',
  'delayed_events',
  'pusher_throttles',
]
/** Tables with many, and what tells the rows of one room apart. */
const LARGE: readonly (readonly [table: string, key: string])[] = [
  ['current_state', 'type, state_key'],
  ['current_state_deltas', 'stream_ordering, type, state_key'],
  ['state_snapshots', 'hash'],
  ['receipts', 'user_id, receipt_type, thread_id'],
  ['federation_inbox', 'event_id'],
  ['sticky_events', 'stream_ordering'],
]
/** Tables of what people have to do with a room, by user. */
const OF_PEOPLE = [
  'local_memberships',
  'event_highlights',
  'event_push_exceptions',
  'thread_subscriptions',
  'room_members',
]
/** Stands for everybody in `event_highlights`. */
const EVERYBODY = '*'

/** Removes rooms with all that is known of them, a bounded number of rows at a time. */
export class RoomRemovalStore {
  readonly #stores: Stores

  constructor(stores: Stores) {
    this.#stores = stores
  }

  /** The room is as if this server had never heard of it; the rest of its rows can be removed later. */
  async hide(tx: Tx, room: RoomRecord): Promise<void> {
    await tx.execute('DELETE FROM rooms WHERE room_nid = ?', [room.roomNid])
    for (const table of SMALL) await tx.execute(`DELETE FROM ${table} WHERE room_nid = ?`, [room.roomNid])
    tx.afterCommit(() => {
      this.#stores.rooms.forget(room)
    })
  }

  /** Removes events with all that hangs on them; gives how many. Index events_room_stream. */
  async removeEvents(tx: Tx, roomNid: number, limit: number): Promise<number> {
    const rows = await tx.all<{ event_nid: number; event_id: string; redaction: string | null }>(
      `SELECT event_nid, event_id, CASE WHEN type = 'm.room.redaction' THEN json END AS redaction
       FROM events WHERE room_nid = ? LIMIT ?`,
      [roomNid, limit],
    )
    if (rows.length === 0) return 0
    const nids = rows.map((row) => row.event_nid)
    const ids = rows.map((row) => row.event_id as EventId)
    const list = tx.dialect.list(nids)
    const remove = (table: string, column: string): Promise<number> =>
      tx.execute(`DELETE FROM ${table} WHERE ${tx.dialect.anyOf(column, 'integer')}`, [list])
    await remove('event_edges', 'prev_nid')
    await remove('event_relationships', 'child_nid')
    for (const table of ['auth_chains', 'told_children', 'event_txns', 'relayed_events']) {
      await remove(table, 'event_nid')
    }
    await remove('waiting_sticky_events', 'event_nid')
    await removeRedactions(tx, rows)
    await this.#stores.eventSearch.remove(tx, nids)
    await remove('events', 'event_nid')
    tx.afterCommit(() => {
      this.#stores.events.forgetIds(ids)
    })
    return rows.length
  }

  /** Removes what people had to do with the room; gives of how many. */
  async removePeople(tx: Tx, room: { roomNid: number; roomId: RoomId }, limit: number): Promise<number> {
    const rows = await tx.all<{ user_id: string }>(
      'SELECT user_id FROM room_members WHERE room_nid = ? LIMIT ?',
      [room.roomNid, limit],
    )
    const users = tx.dialect.list([EVERYBODY, ...rows.map((row) => row.user_id)])
    const among = tx.dialect.anyOf('user_id', 'text')
    for (const table of OF_PEOPLE) {
      await tx.execute(`DELETE FROM ${table} WHERE ${among} AND room_nid = ?`, [users, room.roomNid])
    }
    await tx.execute(`DELETE FROM account_data WHERE ${among} AND room_id = ?`, [users, room.roomId])
    return rows.length
  }

  /** Removes some of the other rows of the room; gives whether there may be more. */
  async removeRest(tx: Tx, roomNid: number, limit: number): Promise<boolean> {
    let isMore = await removeMissing(tx, roomNid, limit)
    for (const [table, key] of LARGE) {
      const removed = await tx.execute(
        `DELETE FROM ${table} WHERE room_nid = ? AND (${key}) IN (
           SELECT ${key} FROM ${table} WHERE room_nid = ? LIMIT ?)`,
        [roomNid, roomNid, limit],
      )
      isMore ||= removed === limit
    }
    return isMore
  }
}

/** What is written of redactions of the events, and of those that they do, also of events that never came. */
async function removeRedactions(
  tx: Tx,
  rows: readonly { event_nid: number; event_id: string; redaction: string | null }[],
): Promise<void> {
  const { dialect } = tx
  const isTarget = dialect.anyOf('target_id', 'text')
  await tx.execute(`DELETE FROM redactions WHERE ${isTarget}`, [
    dialect.list(rows.map((row) => row.event_id)),
  ])
  const targets = rows.flatMap(({ redaction }) => (redaction === null ? [] : targetsOf(redaction)))
  if (targets.length === 0) return
  const nids = rows.flatMap((row) => (row.redaction === null ? [] : row.event_nid))
  await tx.execute(
    `DELETE FROM redactions WHERE ${isTarget} AND ${dialect.anyOf('redaction_nid', 'integer')}`,
    [dialect.list(targets), dialect.list(nids)],
  )
}

/** What a redaction may be about, by the rules of any room version. */
function targetsOf(json: string): string[] {
  const { redacts, content } = JSON.parse(json) as JsonObject
  const inContent = isJsonObject(content) ? content['redacts'] : undefined
  return [redacts, inContent].filter((target) => typeof target === 'string')
}

/** Events that are referred to and not held, with what leads to them; gives whether there may be more. */
async function removeMissing(tx: Tx, roomNid: number, limit: number): Promise<boolean> {
  const rows = await tx.all<{ event_nid: number }>(
    'SELECT event_nid FROM missing_events WHERE room_nid = ? LIMIT ?',
    [roomNid, limit],
  )
  if (rows.length === 0) return false
  const nids = tx.dialect.list(rows.map((row) => row.event_nid))
  await tx.execute(`DELETE FROM event_edges WHERE ${tx.dialect.anyOf('prev_nid', 'integer')}`, [nids])
  await tx.execute(`DELETE FROM missing_events WHERE ${tx.dialect.anyOf('event_nid', 'integer')}`, [nids])
  return rows.length === limit
}
