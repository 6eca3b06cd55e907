import type { Query, Tx } from '../database.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** One piece of account data; `roomId` is undefined for data that belongs to no room. */
export interface AccountDataEntry {
  readonly roomId: RoomId | undefined
  readonly type: string
  readonly content: JsonObject
}

/** Half-open range of stream positions: after `from`, up to and including `to`. */
export interface StreamRange {
  readonly from: number
  readonly to: number
}

interface Row {
  room_id: string
  type: string
  content: string
}

const NO_ROOM = ''
const IGNORED_USERS = 'm.ignored_user_list'
/** What is left of data that was removed: clients that had been given it are told. */
const REMOVED = 'null'

/** Account data, global and of rooms. Each entry has the position of its last change. */
export class AccountDataStore {
  /** By primary key. */
  async get(
    q: Query,
    userId: UserId,
    roomId: RoomId | undefined,
    type: string,
  ): Promise<JsonObject | undefined> {
    const row = await q.first<{ content: string }>(
      'SELECT content FROM account_data WHERE user_id = ? AND room_id = ? AND type = ? AND content <> ?',
      [userId, roomId ?? NO_ROOM, type, REMOVED],
    )
    return row && parseContent(row.content)
  }

  /** Everything of a user, global and of all rooms. By primary key prefix. */
  async getAll(q: Query, userId: UserId): Promise<AccountDataEntry[]> {
    return toEntries(
      await q.all<Row>('SELECT room_id, type, content FROM account_data WHERE user_id = ? AND content <> ?', [
        userId,
        REMOVED,
      ]),
    )
  }

  /** The global data of a user. By primary key prefix. */
  async getAllGlobal(q: Query, userId: UserId): Promise<AccountDataEntry[]> {
    return this.#listByRoom(q, userId, NO_ROOM)
  }

  /** The data of a user for one room. By primary key prefix. */
  async getAllForRoom(q: Query, userId: UserId, roomId: RoomId): Promise<AccountDataEntry[]> {
    return this.#listByRoom(q, userId, roomId)
  }

  /** Global data changed in the range, as it is now: empty where it was removed. Index account_data_user_stream. */
  async listGlobalChanges(q: Query, userId: UserId, range: StreamRange): Promise<AccountDataEntry[]> {
    return this.#listChanges(q, userId, range, '=')
  }

  /** Room data changed in the range, as it is now: empty where it was removed. Index account_data_user_stream. */
  async listRoomChanges(q: Query, userId: UserId, range: StreamRange): Promise<AccountDataEntry[]> {
    return this.#listChanges(q, userId, range, '<>')
  }

  /** Whom the user ignores, as `m.ignored_user_list` says: never themselves, who would lose sight of what they say. */
  async getIgnoredUsers(q: Query, userId: UserId): Promise<ReadonlySet<UserId>> {
    return (await this.getIgnoredUsersOf(q, [userId])).get(userId) ?? new Set()
  }

  /** The same for several users: of those who ignore anybody. */
  async getIgnoredUsersOf(q: Query, userIds: readonly UserId[]): Promise<Map<UserId, ReadonlySet<UserId>>> {
    const found = new Map<UserId, ReadonlySet<UserId>>()
    for (const [userId, contents] of await this.getGlobalOfUsers(q, userIds, [IGNORED_USERS])) {
      const ignored = contents.get(IGNORED_USERS)?.['ignored_users']
      if (!isJsonObject(ignored)) continue
      found.set(userId, new Set(Object.keys(ignored).filter((other): other is UserId => other !== userId)))
    }
    return found
  }

  /** Global data of some types, of users who have any: contents by type. By primary key. */
  async getGlobalOfUsers(
    q: Query,
    userIds: readonly UserId[],
    types: readonly string[],
  ): Promise<Map<UserId, Map<string, JsonObject>>> {
    const found = new Map<UserId, Map<string, JsonObject>>()
    if (userIds.length === 0) return found
    const rows = await q.all<{ user_id: string; type: string; content: string }>(
      `SELECT user_id, type, content FROM account_data
       WHERE ${q.dialect.anyOf('user_id', 'text')} AND room_id = '' AND ${q.dialect.anyOf('type', 'text')}
         AND content <> ?`,
      [q.dialect.list(userIds), q.dialect.list(types), REMOVED],
    )
    for (const row of rows) {
      const ofUser = found.get(row.user_id as UserId) ?? new Map<string, JsonObject>()
      found.set(row.user_id as UserId, ofUser.set(row.type, parseContent(row.content)))
    }
    return found
  }

  /** `streamId`: the position of the change. */
  async put(tx: Tx, userId: UserId, entry: AccountDataEntry, streamId: number): Promise<void> {
    await tx.execute(
      `INSERT INTO account_data (user_id, room_id, type, stream_id, content) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (user_id, room_id, type) DO UPDATE SET stream_id = excluded.stream_id, content = excluded.content`,
      [userId, entry.roomId ?? NO_ROOM, entry.type, streamId, JSON.stringify(entry.content)],
    )
  }

  /** Removes what is there of some types, and gives how many that were. By primary key. */
  async remove(
    tx: Tx,
    userId: UserId,
    {
      roomId,
      types,
      streamId,
    }: { readonly roomId: RoomId | undefined; readonly types: readonly string[]; readonly streamId: number },
  ): Promise<number> {
    return tx.execute(
      `UPDATE account_data SET content = ?, stream_id = ?
       WHERE user_id = ? AND room_id = ? AND ${tx.dialect.anyOf('type', 'text')} AND content <> ?`,
      [REMOVED, streamId, userId, roomId ?? NO_ROOM, tx.dialect.list(types), REMOVED],
    )
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM account_data WHERE user_id = ?', [userId])
  }

  async #listByRoom(q: Query, userId: UserId, roomId: string): Promise<AccountDataEntry[]> {
    return toEntries(
      await q.all<Row>(
        'SELECT room_id, type, content FROM account_data WHERE user_id = ? AND room_id = ? AND content <> ?',
        [userId, roomId, REMOVED],
      ),
    )
  }

  async #listChanges(
    q: Query,
    userId: UserId,
    range: StreamRange,
    operator: '=' | '<>',
  ): Promise<AccountDataEntry[]> {
    if (range.from >= range.to) return []
    return toEntries(
      await q.all<Row>(
        `SELECT room_id, type, content FROM account_data
         WHERE user_id = ? AND stream_id > ? AND stream_id <= ? AND room_id ${operator} '' ORDER BY stream_id`,
        [userId, range.from, range.to],
      ),
    )
  }
}

function toEntries(rows: readonly Row[]): AccountDataEntry[] {
  return rows.map((row) => ({
    roomId: row.room_id === NO_ROOM ? undefined : (row.room_id as RoomId),
    type: row.type,
    content: parseContent(row.content),
  }))
}

function parseContent(json: string): JsonObject {
  const content: unknown = JSON.parse(json)
  return isJsonObject(content) ? content : {}
}
