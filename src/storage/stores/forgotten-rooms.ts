import type { Query, Tx } from '../database.js'
import type { RoomId } from '../../protocol/ids.js'

/** A room, as far as forgetting goes. */
export interface RoomMemory {
  readonly roomNid: number
  readonly roomId: RoomId
  /** Somebody of this server has been in it, and none of them remembers it. */
  readonly isForgotten: boolean
  /** Since when that is known; undefined: it has not been known before. */
  readonly forgottenTs: number | undefined
}

interface Row {
  room_nid: number
  room_id: string
  forgotten_ts: number | null
  is_known: number | boolean
  is_remembered: number | boolean
}

/** Every membership, so that the index is used whatever a member's is. */
const OURS = `m.room_nid = r.room_nid AND m.membership IN ('join', 'invite', 'knock', 'leave', 'ban') AND m.is_local = 1`

/** Which rooms nobody of this server remembers. */
export class ForgottenRoomsStore {
  /** Rooms after one, in the order of their nids. Index room_members_membership. */
  async list(q: Query, { after, limit }: { after: number; limit: number }): Promise<RoomMemory[]> {
    const rows = await q.all<Row>(
      `SELECT r.room_nid, r.room_id, r.forgotten_ts,
         EXISTS (SELECT 1 FROM room_members m WHERE ${OURS}) AS is_known,
         EXISTS (SELECT 1 FROM room_members m WHERE ${OURS} AND m.forgotten = 0) AS is_remembered
       FROM rooms r WHERE r.room_nid > ? ORDER BY r.room_nid LIMIT ?`,
      [after, limit],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      roomId: row.room_id as RoomId,
      isForgotten: Boolean(row.is_known) && !row.is_remembered,
      forgottenTs: row.forgotten_ts ?? undefined,
    }))
  }

  /** Notes since when rooms have been forgotten; undefined: somebody remembers them. */
  async setForgotten(tx: Tx, roomNids: readonly number[], ts: number | undefined): Promise<void> {
    if (roomNids.length === 0) return
    await tx.execute(`UPDATE rooms SET forgotten_ts = ? WHERE ${tx.dialect.anyOf('room_nid', 'integer')}`, [
      ts ?? null,
      tx.dialect.list(roomNids),
    ])
  }
}
