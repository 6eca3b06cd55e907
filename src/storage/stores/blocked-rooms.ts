import type { Query, Tx } from '../database.js'
import type { RoomId, UserId } from '../../protocol/ids.js'

/** Rooms that nobody of this server may enter. */
export class BlockedRoomsStore {
  /** Who has blocked the room; undefined: nobody. */
  async get(q: Query, roomId: RoomId): Promise<UserId | undefined> {
    const row = await q.first<{ blocked_by: string }>(
      'SELECT blocked_by FROM blocked_rooms WHERE room_id = ?',
      [roomId],
    )
    return row?.blocked_by as UserId | undefined
  }

  /** Who has blocked it before stays. */
  async insert(tx: Tx, roomId: RoomId, blockedBy: UserId): Promise<void> {
    await tx.execute('INSERT INTO blocked_rooms (room_id, blocked_by) VALUES (?, ?) ON CONFLICT DO NOTHING', [
      roomId,
      blockedBy,
    ])
  }

  async delete(tx: Tx, roomId: RoomId): Promise<void> {
    await tx.execute('DELETE FROM blocked_rooms WHERE room_id = ?', [roomId])
  }
}
