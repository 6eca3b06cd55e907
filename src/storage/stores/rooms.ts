import type { CacheRegistry, BulkCache } from '../cache-registry.js'
import type { Query, Tx } from '../database.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { getRoomVersionRules, type RoomVersionRules } from '../../protocol/room-versions.js'

/** A room this server knows. Never changes once this server has been in it. */
export interface RoomRecord {
  readonly roomNid: number
  readonly roomId: RoomId
  readonly rules: RoomVersionRules
  readonly creator: UserId
  readonly roomType: string | undefined
}

interface RoomRow {
  room_nid: number
  room_id: string
  version: string
  creator: string
  room_type: string | null
}

const COLUMNS = 'room_nid, room_id, version, creator, room_type'

/** Rooms and their nids. What it caches is immutable: only deleting a room invalidates. */
export class RoomsStore {
  readonly #byId: BulkCache<RoomId, RoomRecord>
  readonly #byNid: BulkCache<number, RoomRecord>

  constructor(caches: CacheRegistry) {
    this.#byId = caches.create({ name: 'rooms_by_id', max: 20_000 })
    this.#byNid = caches.create({ name: 'rooms_by_nid', max: 20_000 })
  }

  async get(q: Query, roomId: RoomId): Promise<RoomRecord | undefined> {
    const cached = this.#byId.peek(roomId)
    if (cached) return cached
    return (await this.getByIds(q, [roomId])).get(roomId)
  }

  getByIds(q: Query, roomIds: readonly RoomId[]): Promise<Map<RoomId, RoomRecord>> {
    return this.#byId.getMany(roomIds, async (missing) => {
      const rows = await q.all<RoomRow>(
        `SELECT ${COLUMNS} FROM rooms WHERE ${q.dialect.anyOf('room_id', 'text')}`,
        [q.dialect.list(missing)],
      )
      return new Map(rows.flatMap(toRecord).map((record) => [record.roomId, record]))
    })
  }

  getByNids(q: Query, nids: readonly number[]): Promise<Map<number, RoomRecord>> {
    return this.#byNid.getMany(nids, async (missing) => {
      const rows = await q.all<RoomRow>(
        `SELECT ${COLUMNS} FROM rooms WHERE ${q.dialect.anyOf('room_nid', 'integer')}`,
        [q.dialect.list(missing)],
      )
      return new Map(rows.flatMap(toRecord).map((record) => [record.roomNid, record]))
    })
  }

  async insert(tx: Tx, room: RoomRecord, options: { isPublic: boolean; createdTs: number }): Promise<void> {
    await tx.execute(`INSERT INTO rooms (${COLUMNS}, is_public, created_ts) VALUES (?, ?, ?, ?, ?, ?, ?)`, [
      room.roomNid,
      room.roomId,
      room.rules.version,
      room.creator,
      room.roomType ?? null,
      options.isPublic ? 1 : 0,
      options.createdTs,
    ])
    tx.afterCommit(() => {
      this.#byId.set(room.roomId, room)
      this.#byNid.set(room.roomNid, room)
    })
  }

  /** After the room's row has gone: nobody finds it any more. */
  forget({ roomId, roomNid }: RoomRecord): void {
    this.#byId.delete(roomId)
    this.#byNid.delete(roomNid)
  }

  /** Writes anew what was believed of a room before this server was in it. */
  async correct(tx: Tx, room: RoomRecord): Promise<void> {
    await tx.execute('UPDATE rooms SET version = ?, creator = ?, room_type = ? WHERE room_nid = ?', [
      room.rules.version,
      room.creator,
      room.roomType ?? null,
      room.roomNid,
    ])
    tx.afterCommit(() => {
      this.#byId.set(room.roomId, room)
      this.#byNid.set(room.roomNid, room)
    })
  }
}

/** Rooms of a version that this server does not know are as if they were not there. */
function toRecord(row: RoomRow): RoomRecord[] {
  const rules = getRoomVersionRules(row.version)
  if (!rules) return []
  return [
    {
      roomNid: row.room_nid,
      roomId: row.room_id as RoomId,
      rules,
      creator: row.creator as UserId,
      roomType: row.room_type ?? undefined,
    },
  ]
}
