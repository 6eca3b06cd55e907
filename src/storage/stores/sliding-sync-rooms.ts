import type { Query } from '../database.js'
import { readFirstMembers, type FirstMembersOf } from '../first-members.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { AccountDataEntry } from './account-data.js'
import type { CurrentStateEntry } from './current-state.js'
import type { Membership } from './room-members.js'

/** A user's membership of a room, and the event it is from. */
export interface OwnMembership {
  readonly roomNid: number
  readonly membership: Membership
  readonly eventNid: number
  readonly streamOrdering: number
  readonly sender: UserId
  readonly forgotten: boolean
}

/** Somebody who gives a room without a name its name. */
export interface Hero {
  readonly userId: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
}

interface MembershipRow {
  room_nid: number
  membership: string
  event_nid: number
  stream_ordering: number
  sender: string
  forgotten: number
}

interface StateRow {
  room_nid: number
  type: string
  state_key: string
  event_nid: number
}

const MEMBERSHIP_COLUMNS = 'm.room_nid, m.membership, m.event_nid, m.stream_ordering, m.sender, m.forgotten'
/** Events of a room among which the last that bumps it is looked for; further where the first look finds none. */
const LOOKED_THROUGH = [200, 3_000]
const MAX_HEROES = 5

/** What lists of rooms are sorted, filtered and shown by. */
export class SlidingSyncRoomsStore {
  /**
   * Where each room had its last event or change of state; rooms without any are left out. Index events_room_stream, and
   * by primary key prefix.
   */
  async lastPositions(q: Query, roomNids: readonly number[]): Promise<Map<number, number>> {
    if (roomNids.length === 0) return new Map()
    const rows = await q.all<{ room_nid: number; event: number | null; state: number | null }>(
      `SELECT r.room_nid,
         (SELECT MAX(e.stream_ordering) FROM events e
          WHERE e.room_nid = r.room_nid AND e.stream_ordering > 0) AS event,
         (SELECT MAX(d.stream_ordering) FROM current_state_deltas d WHERE d.room_nid = r.room_nid) AS state
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid })))],
    )
    return new Map(
      rows.flatMap(({ room_nid: roomNid, event, state }) =>
        event === null && state === null ? [] : [[roomNid, Math.max(event ?? 0, state ?? 0)]],
      ),
    )
  }

  /**
   * Where each room had its last event of these types, up to a position; left out where it is not among the room's last
   * 3000: people may come and go for long before somebody says something. Index events_room_stream.
   */
  async lastOfTypes(
    q: Query,
    roomNids: readonly number[],
    { types, upTo }: { types: readonly string[]; upTo: number },
  ): Promise<Map<number, number>> {
    const found = new Map<number, number>()
    for (const limit of LOOKED_THROUGH) {
      const open = roomNids.filter((roomNid) => !found.has(roomNid))
      const nearby = await this.#lastOfTypes(q, open, { types, upTo, limit })
      for (const [roomNid, position] of nearby) found.set(roomNid, position)
    }
    return found
  }

  async #lastOfTypes(
    q: Query,
    roomNids: readonly number[],
    { types, upTo, limit }: { types: readonly string[]; upTo: number; limit: number },
  ): Promise<Map<number, number>> {
    if (roomNids.length === 0) return new Map()
    const rows = await q.all<{ room_nid: number; position: number | null }>(
      `SELECT r.room_nid, (
         SELECT MAX(l.stream_ordering) FROM (
           SELECT e.stream_ordering, e.type FROM events e
           WHERE e.room_nid = r.room_nid AND e.stream_ordering > 0 AND e.stream_ordering <= ?
           ORDER BY e.stream_ordering DESC LIMIT ?) AS l
         WHERE ${q.dialect.anyOf('l.type', 'text')}) AS position
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r`,
      [upTo, limit, q.dialect.list(types), q.dialect.rows(roomNids.map((nid) => ({ room_nid: nid })))],
    )
    return new Map(rows.flatMap((row) => (row.position === null ? [] : [[row.room_nid, row.position]])))
  }

  /**
   * The rooms that others have thrown the user out of, and that they have not forgotten; those that they were banned
   * from without ever having been in are left out. Index room_members_user.
   */
  async listThrownOut(q: Query, userId: UserId): Promise<OwnMembership[]> {
    const rows = await q.all<MembershipRow>(
      `SELECT ${MEMBERSHIP_COLUMNS} FROM room_members m
       WHERE m.user_id = ? AND m.membership IN ('leave', 'ban') AND m.sender <> ? AND m.forgotten = 0
         AND (m.membership = 'leave' OR EXISTS (
           SELECT 1 FROM local_memberships l
           WHERE l.user_id = m.user_id AND l.room_nid = m.room_nid AND l.membership = 'join'))`,
      [userId, userId],
    )
    return rows.map(toMembership)
  }

  /** The memberships of some rooms, whatever they are. By primary key. */
  async listMemberships(q: Query, userId: UserId, roomNids: readonly number[]): Promise<OwnMembership[]> {
    if (roomNids.length === 0) return []
    const rows = await q.all<MembershipRow>(
      `SELECT ${MEMBERSHIP_COLUMNS}
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r CROSS JOIN room_members m
       WHERE m.room_nid = r.room_nid AND m.user_id = ?`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid }))), userId],
    )
    return rows.map(toMembership)
  }

  /** Which of the rooms have a piece of state now. By primary key. */
  async listWithState(q: Query, roomNids: readonly number[], type: string): Promise<Set<number>> {
    if (roomNids.length === 0) return new Set()
    const rows = await q.all<{ room_nid: number }>(
      `SELECT s.room_nid FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r CROSS JOIN current_state s
       WHERE s.room_nid = r.room_nid AND s.type = ? AND s.state_key = ''`,
      [q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid }))), type],
    )
    return new Set(rows.map((row) => row.room_nid))
  }

  /** The current state of some types of rooms. By primary key prefix. */
  async listStateTypes(
    q: Query,
    wanted: readonly { readonly roomNid: number; readonly type: string }[],
  ): Promise<CurrentStateEntry[]> {
    if (wanted.length === 0) return []
    const rows = await q.all<StateRow>(
      `SELECT s.room_nid, s.type, s.state_key, s.event_nid
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer', type: 'text' })} AS r CROSS JOIN current_state s
       WHERE s.room_nid = r.room_nid AND s.type = r.type`,
      [q.dialect.rows(wanted.map(({ roomNid, type }) => ({ room_nid: roomNid, type })))],
    )
    return rows.map(toEntry)
  }

  /** Single pieces of the current state of rooms. By primary key. */
  async listStatePieces(
    q: Query,
    wanted: readonly { readonly roomNid: number; readonly type: string; readonly stateKey: string }[],
  ): Promise<CurrentStateEntry[]> {
    if (wanted.length === 0) return []
    const source = q.dialect.rowsFrom({ room_nid: 'integer', type: 'text', state_key: 'text' })
    const rows = await q.all<StateRow>(
      `SELECT s.room_nid, s.type, s.state_key, s.event_nid FROM ${source} AS r CROSS JOIN current_state s
       WHERE s.room_nid = r.room_nid AND s.type = r.type AND s.state_key = r.state_key`,
      [
        q.dialect.rows(
          wanted.map(({ roomNid, type, stateKey }) => ({ room_nid: roomNid, type, state_key: stateKey })),
        ),
      ],
    )
    return rows.map(toEntry)
  }

  /** The tags of a user's rooms. By primary key prefix. */
  async listTags(q: Query, userId: UserId): Promise<Map<RoomId, string[]>> {
    const rows = await q.all<{ room_id: string; content: string }>(
      `SELECT room_id, content FROM account_data WHERE user_id = ? AND room_id <> '' AND type = 'm.tag'`,
      [userId],
    )
    return new Map(rows.map((row) => [row.room_id as RoomId, tagsOf(JSON.parse(row.content))]))
  }

  /** What a user keeps for rooms and has changed after a position of each, as it is now. By primary key prefix. */
  async listAccountData(
    q: Query,
    userId: UserId,
    { rooms, upTo }: { rooms: readonly { readonly roomId: RoomId; readonly after: number }[]; upTo: number },
  ): Promise<AccountDataEntry[]> {
    if (rooms.length === 0) return []
    const rows = await q.all<{ room_id: string; type: string; content: string }>(
      `SELECT a.room_id, a.type, a.content
       FROM ${q.dialect.rowsFrom({ room_id: 'text', low: 'integer' })} AS r CROSS JOIN account_data a
       WHERE a.user_id = ? AND a.room_id = r.room_id AND a.stream_id > r.low AND a.stream_id <= ?`,
      [q.dialect.rows(rooms.map(({ roomId, after }) => ({ room_id: roomId, low: after }))), userId, upTo],
    )
    return rows.map((row) => ({
      roomId: row.room_id as RoomId,
      type: row.type,
      content: JSON.parse(row.content) as JsonObject,
    }))
  }

  /** The first five others who are in each room, then those who are invited to it, or else who were there. */
  async listHeroes(q: Query, userId: UserId, roomNids: readonly number[]): Promise<Map<number, Hero[]>> {
    const heroes = new Map<number, Hero[]>(roomNids.map((roomNid) => [roomNid, []]))
    for (const memberships of [
      ['join', 'invite'],
      ['leave', 'ban'],
    ]) {
      const open = roomNids.filter((roomNid) => heroes.get(roomNid)?.length === 0)
      if (open.length === 0) break
      const of = { roomNids: open, memberships, except: userId, limit: MAX_HEROES, byMembership: true }
      for (const { roomNid, hero } of await this.#listMembers(q, of)) heroes.get(roomNid)?.push(hero)
    }
    return heroes
  }

  async #listMembers(q: Query, of: FirstMembersOf): Promise<{ roomNid: number; hero: Hero }[]> {
    const rows = await readFirstMembers<{
      room_nid: number
      user_id: string
      display_name: string | null
      avatar_url: string | null
    }>(q, of, ['user_id', 'display_name', 'avatar_url'])
    return rows.map((row) => ({
      roomNid: row.room_nid,
      hero: {
        userId: row.user_id as UserId,
        displayName: row.display_name ?? undefined,
        avatarUrl: row.avatar_url ?? undefined,
      },
    }))
  }
}

function toMembership(row: MembershipRow): OwnMembership {
  return {
    roomNid: row.room_nid,
    membership: row.membership as Membership,
    eventNid: row.event_nid,
    streamOrdering: row.stream_ordering,
    sender: row.sender as UserId,
    forgotten: row.forgotten === 1,
  }
}

function toEntry(row: StateRow): CurrentStateEntry {
  return { roomNid: row.room_nid, type: row.type, stateKey: row.state_key, eventNid: row.event_nid }
}

function tagsOf(content: unknown): string[] {
  const tags = isJsonObject(content) ? content['tags'] : undefined
  return isJsonObject(tags) ? Object.keys(tags) : []
}
