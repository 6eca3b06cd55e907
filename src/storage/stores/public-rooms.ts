import type { Query, SqlValue, Tx } from '../database.js'
import type { RoomId } from '../../protocol/ids.js'

/** What the directory says of a room, from the room's state. */
export interface DirectoryEntry {
  readonly roomNid: number
  readonly name: string | undefined
  readonly topic: string | undefined
  readonly canonicalAlias: string | undefined
  readonly avatarUrl: string | undefined
  readonly joinRule: string
  readonly worldReadable: boolean
  readonly guestCanJoin: boolean
}

/** A published room as it is listed. */
export interface ListedRoom extends DirectoryEntry {
  readonly roomId: RoomId
  readonly roomType: string | undefined
  readonly joinedMembers: number
}

/** A place in the list, which goes from the largest room to the smallest. */
export interface DirectoryPlace {
  readonly joinedMembers: number
  readonly roomNid: number
}

/** A network that an application service bridges. */
export interface BridgedNetwork {
  readonly appserviceId: string
  readonly networkId: string
}

/** Whose directory: the rooms that people publish, those of one network, or both and those of all networks. */
export type DirectorySource = 'published' | 'everywhere' | BridgedNetwork

export interface DirectoryQuery {
  readonly source: DirectorySource
  /** In lower case; undefined: all rooms. */
  readonly searchTerm: string | undefined
  /** Null stands for rooms without a type; undefined: all rooms. */
  readonly roomTypes: readonly (string | null)[] | undefined
  readonly limit: number
  /** Rooms after this place, or before it; undefined: from the top. */
  readonly from: { readonly place: DirectoryPlace; readonly backwards: boolean } | undefined
}

interface Row {
  room_nid: number
  room_id: string
  room_type: string | null
  joined_members: number
  name: string | null
  topic: string | null
  canonical_alias: string | null
  avatar_url: string | null
  join_rule: string
  world_readable: number
  guest_can_join: number
}

/** What people can look into, and somebody is still in. */
const LISTED = `r.joined_members > 0
  AND (d.join_rule IN ('public', 'knock', 'knock_restricted') OR d.world_readable = 1)`
const LIST_COLUMNS = `r.room_nid, r.room_id, r.room_type, r.joined_members, d.name, d.topic, d.canonical_alias,
  d.avatar_url, d.join_rule, d.world_readable, d.guest_can_join`

/** Index appservice_rooms_room. */
const IN_A_DIRECTORY = `(r.is_public = 1
  OR EXISTS (SELECT 1 FROM appservice_rooms a WHERE a.room_nid = r.room_nid))`

/** State that a directory entry is made of. */
export const DIRECTORY_STATE_TYPES = [
  'm.room.name',
  'm.room.topic',
  'm.room.canonical_alias',
  'm.room.avatar',
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.guest_access',
] as const

/** The published rooms, and those that application services publish for the networks they bridge. */
export class PublicRoomsStore {
  async isPublished(q: Query, roomNid: number): Promise<boolean> {
    const row = await q.first<{ is_public: number }>('SELECT is_public FROM rooms WHERE room_nid = ?', [
      roomNid,
    ])
    return row?.is_public === 1
  }

  async setPublished(tx: Tx, roomNid: number, isPublished: boolean): Promise<void> {
    await tx.execute('UPDATE rooms SET is_public = ? WHERE room_nid = ?', [isPublished ? 1 : 0, roomNid])
    if (!isPublished) await this.#dropEntry(tx, roomNid)
  }

  /** Publishes a room as one of a network, or takes it back. */
  async setPublishedByNetwork(
    tx: Tx,
    { appserviceId, networkId }: BridgedNetwork,
    room: { readonly roomNid: number; readonly isPublished: boolean },
  ): Promise<void> {
    await tx.execute(
      room.isPublished
        ? `INSERT INTO appservice_rooms (appservice_id, network_id, room_nid) VALUES (?, ?, ?)
           ON CONFLICT (appservice_id, network_id, room_nid) DO NOTHING`
        : 'DELETE FROM appservice_rooms WHERE appservice_id = ? AND network_id = ? AND room_nid = ?',
      [appserviceId, networkId, room.roomNid],
    )
    if (!room.isPublished) await this.#dropEntry(tx, room.roomNid)
  }

  /** An entry that nothing keeps up to date must not come to light when the room is published again. */
  async #dropEntry(tx: Tx, roomNid: number): Promise<void> {
    await tx.execute(
      `DELETE FROM directory_entries WHERE room_nid = ?
         AND NOT EXISTS (SELECT 1 FROM rooms r WHERE r.room_nid = directory_entries.room_nid AND ${IN_A_DIRECTORY})`,
      [roomNid],
    )
  }

  /** Which of these rooms are published. */
  async filterPublished(q: Query, roomNids: readonly number[]): Promise<number[]> {
    const rows = await q.all<{ room_nid: number }>(
      `SELECT room_nid FROM rooms WHERE is_public = 1 AND ${q.dialect.anyOf('room_nid', 'integer')}`,
      [q.dialect.list(roomNids)],
    )
    return rows.map((row) => row.room_nid)
  }

  /** Which of these rooms are in any directory. */
  async filterListed(q: Query, roomNids: readonly number[]): Promise<number[]> {
    const rows = await q.all<{ room_nid: number }>(
      `SELECT r.room_nid FROM rooms r WHERE ${q.dialect.anyOf('r.room_nid', 'integer')} AND ${IN_A_DIRECTORY}`,
      [q.dialect.list(roomNids)],
    )
    return rows.map((row) => row.room_nid)
  }

  /** Up to which position of the events stream the entries have been brought. */
  async getPosition(q: Query): Promise<number> {
    const row = await q.first<{ position: number }>('SELECT position FROM directory_position WHERE id = 1')
    return row?.position ?? 0
  }

  async setPosition(tx: Tx, position: number): Promise<void> {
    await tx.execute('UPDATE directory_position SET position = ? WHERE id = 1 AND position < ?', [
      position,
      position,
    ])
  }

  /**
   * Rooms in any directory of which something in the directory changed after `from` and up to `to`, at most `limit`
   * changes at a time; `upTo` is how far that goes. Index current_state_deltas_stream.
   */
  async listChanged(
    q: Query,
    range: { readonly from: number; readonly to: number },
    limit: number,
  ): Promise<{ roomNids: number[]; upTo: number }> {
    const rows = await q.all<{ room_nid: number; stream_ordering: number }>(
      `SELECT d.room_nid, d.stream_ordering FROM current_state_deltas d JOIN rooms r ON r.room_nid = d.room_nid
       WHERE d.stream_ordering > ? AND d.stream_ordering <= ? AND ${IN_A_DIRECTORY} AND d.state_key = ''
         AND ${q.dialect.anyOf('d.type', 'text')}
       ORDER BY d.stream_ordering LIMIT ?`,
      [range.from, range.to, q.dialect.list(DIRECTORY_STATE_TYPES), limit],
    )
    const upTo = rows.length < limit ? range.to : rows.at(-1)!.stream_ordering
    return { roomNids: [...new Set(rows.map((row) => row.room_nid))], upTo }
  }

  async putEntries(tx: Tx, entries: readonly DirectoryEntry[]): Promise<void> {
    if (entries.length === 0) return
    await tx.insertMany('directory_entries', entries.map(toRow), {
      columns: {
        room_nid: 'integer',
        name: 'text',
        topic: 'text',
        canonical_alias: 'text',
        avatar_url: 'text',
        join_rule: 'text',
        world_readable: 'integer',
        guest_can_join: 'integer',
        search_text: 'text',
      },
      conflict: {
        key: ['room_nid'],
        update: [
          'name',
          'topic',
          'canonical_alias',
          'avatar_url',
          'join_rule',
          'world_readable',
          'guest_can_join',
          'search_text',
        ],
      },
    })
  }

  /** How many rooms a directory has in all. Index rooms_public, primary key prefix of appservice_rooms. */
  async count(q: Query, source: DirectorySource): Promise<number> {
    const { condition, params } = inSource(source)
    const row = await q.first<{ count: number }>(
      `SELECT COUNT(*) AS count FROM rooms r JOIN directory_entries d ON d.room_nid = r.room_nid
       WHERE ${condition} AND ${LISTED}`,
      params,
    )
    return row?.count ?? 0
  }

  /** Rooms in the order of the list, also when they are sought backwards. Indexes as for `count`. */
  async list(q: Query, query: DirectoryQuery): Promise<ListedRoom[]> {
    const source = inSource(query.source)
    const params: SqlValue[] = [...source.params]
    const conditions = [source.condition, LISTED]
    if (query.searchTerm !== undefined) {
      conditions.push(`d.search_text LIKE ? ESCAPE '!'`)
      params.push(`%${query.searchTerm.replace(/[!%_]/g, '!$&')}%`)
    }
    if (query.roomTypes !== undefined) {
      const types = query.roomTypes.filter((type) => type !== null)
      const named = q.dialect.anyOf('r.room_type', 'text')
      conditions.push(query.roomTypes.includes(null) ? `(r.room_type IS NULL OR ${named})` : named)
      params.push(q.dialect.list(types))
    }
    const backwards = query.from?.backwards === true
    if (query.from) {
      conditions.push(`(r.joined_members, r.room_nid) ${backwards ? '>' : '<'} (?, ?)`)
      params.push(query.from.place.joinedMembers, query.from.place.roomNid)
    }
    const order = backwards ? 'ASC' : 'DESC'
    const rows = await q.all<Row>(
      `SELECT ${LIST_COLUMNS} FROM rooms r JOIN directory_entries d ON d.room_nid = r.room_nid
       WHERE ${conditions.join(' AND ')}
       ORDER BY r.joined_members ${order}, r.room_nid ${order} LIMIT ?`,
      [...params, query.limit],
    )
    const rooms = rows.map(toListed)
    return backwards ? rooms.reverse() : rooms
  }
}

function inSource(source: DirectorySource): { condition: string; params: string[] } {
  if (source === 'published') return { condition: 'r.is_public = 1', params: [] }
  if (source === 'everywhere') return { condition: IN_A_DIRECTORY, params: [] }
  return {
    condition:
      'r.room_nid IN (SELECT room_nid FROM appservice_rooms WHERE appservice_id = ? AND network_id = ?)',
    params: [source.appserviceId, source.networkId],
  }
}

function toRow(entry: DirectoryEntry): Record<string, SqlValue> {
  const texts = [entry.name, entry.topic, entry.canonicalAlias].filter((text) => text !== undefined)
  return {
    room_nid: entry.roomNid,
    name: entry.name ?? null,
    topic: entry.topic ?? null,
    canonical_alias: entry.canonicalAlias ?? null,
    avatar_url: entry.avatarUrl ?? null,
    join_rule: entry.joinRule,
    world_readable: entry.worldReadable ? 1 : 0,
    guest_can_join: entry.guestCanJoin ? 1 : 0,
    search_text: texts.join('\n').toLowerCase(),
  }
}

function toListed(row: Row): ListedRoom {
  return {
    roomNid: row.room_nid,
    roomId: row.room_id as RoomId,
    roomType: row.room_type ?? undefined,
    joinedMembers: row.joined_members,
    name: row.name ?? undefined,
    topic: row.topic ?? undefined,
    canonicalAlias: row.canonical_alias ?? undefined,
    avatarUrl: row.avatar_url ?? undefined,
    joinRule: row.join_rule,
    worldReadable: row.world_readable === 1,
    guestCanJoin: row.guest_can_join === 1,
  }
}
