import type { Query, Tx } from '../database.js'
import type { RoomAlias, RoomId, UserId } from '../../protocol/ids.js'

/** An alias of this server. */
export interface AliasRecord {
  readonly alias: RoomAlias
  readonly roomNid: number
  readonly roomId: RoomId
  /** Who made it; undefined where that was nobody in particular. */
  readonly creator: UserId | undefined
}

interface Row {
  alias: string
  room_nid: number
  room_id: string
  creator: string | null
}

const SELECT = `SELECT a.alias, a.room_nid, r.room_id, a.creator
  FROM room_aliases a JOIN rooms r ON r.room_nid = a.room_nid`

/** The aliases of this server. */
export class DirectoryStore {
  /** By primary key. */
  async get(q: Query, alias: RoomAlias): Promise<AliasRecord | undefined> {
    const row = await q.first<Row>(`${SELECT} WHERE a.alias = ?`, [alias])
    return row && toRecord(row)
  }

  /** Several aliases; those that do not exist are absent. */
  async getMany(q: Query, aliases: readonly RoomAlias[]): Promise<Map<RoomAlias, AliasRecord>> {
    if (aliases.length === 0) return new Map()
    const rows = await q.all<Row>(`${SELECT} WHERE ${q.dialect.anyOf('a.alias', 'text')}`, [
      q.dialect.list(aliases),
    ])
    return new Map(rows.map((row) => [row.alias as RoomAlias, toRecord(row)]))
  }

  /** The aliases of a room, in order. Index room_aliases_room. */
  async listForRoom(q: Query, roomNid: number): Promise<RoomAlias[]> {
    const rows = await q.all<{ alias: string }>(
      'SELECT alias FROM room_aliases WHERE room_nid = ? ORDER BY alias',
      [roomNid],
    )
    return rows.map((row) => row.alias as RoomAlias)
  }

  /** False when the alias is taken. */
  async insert(
    tx: Tx,
    alias: { readonly alias: RoomAlias; readonly roomNid: number; readonly creator: UserId | undefined },
    createdTs: number,
  ): Promise<boolean> {
    const inserted = await tx.execute(
      'INSERT INTO room_aliases (alias, room_nid, creator, created_ts) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      [alias.alias, alias.roomNid, alias.creator ?? null, createdTs],
    )
    return inserted === 1
  }

  /** False when there was none. */
  async delete(tx: Tx, alias: RoomAlias): Promise<boolean> {
    return (await tx.execute('DELETE FROM room_aliases WHERE alias = ?', [alias])) === 1
  }

  /** Points all aliases of a room at another one. */
  async moveAll(tx: Tx, fromRoomNid: number, toRoomNid: number): Promise<void> {
    await tx.execute('UPDATE room_aliases SET room_nid = ? WHERE room_nid = ?', [toRoomNid, fromRoomNid])
  }

  /** Some members of other servers, of a room: for where else the room can be had. */
  async sampleRemoteMembers(q: Query, roomNid: number, limit: number): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      `SELECT user_id FROM room_members WHERE room_nid = ? AND membership = 'join' AND is_local = 0 LIMIT ?`,
      [roomNid, limit],
    )
    return rows.map((row) => row.user_id as UserId)
  }
}

function toRecord(row: Row): AliasRecord {
  return {
    alias: row.alias as RoomAlias,
    roomNid: row.room_nid,
    roomId: row.room_id as RoomId,
    creator: (row.creator ?? undefined) as UserId | undefined,
  }
}
