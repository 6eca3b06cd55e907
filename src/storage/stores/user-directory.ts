import type { Query, SqlValue, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** Somebody who may be found. */
export interface DirectoryUser {
  readonly userId: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
  readonly isLocal: boolean
  /** As they are compared with what is typed. */
  readonly foldedName: string
  readonly foldedLocalpart: string
  /** They are found by the beginnings of these. */
  readonly terms: readonly string[]
}

export interface FoundUser {
  readonly userId: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
}

export interface UserSearch {
  readonly requester: UserId
  /** Each must be the beginning of one of the user's terms; at least one. */
  readonly prefixes: readonly string[]
  /** What was typed, whole: as a user ID, and folded. */
  readonly typed: string
  readonly folded: string
  readonly limit: number
  /** Also people with whom the requester shares no room. */
  readonly includesEverybody: boolean
  readonly prefersLocal: boolean
  readonly excludesRemote: boolean
  readonly showsLocked: boolean
}

/** A membership of somebody of another server, as far as it tells what they are called. */
export interface RemoteMembership {
  readonly userId: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
  /** Whether everybody may see it. */
  readonly isOpen: boolean
  readonly streamOrdering: number
}

/** State that the directory depends on. */
export const USER_DIRECTORY_STATE_TYPES = [
  'm.room.member',
  'm.room.join_rules',
  'm.room.history_visibility',
] as const

/** Comes after every text that begins with the same characters. */
const LAST = '\u{10ffff}'

/** Who can be found by name. Who is in which room with whom is asked of the memberships themselves. */
export class UserDirectoryStore {
  /** Up to which position of the events stream rooms and memberships have been taken in. */
  async getPosition(q: Query): Promise<number> {
    const row = await q.first<{ position: number }>(
      'SELECT position FROM user_directory_position WHERE id = 1',
    )
    return row?.position ?? 0
  }

  async setPosition(tx: Tx, position: number): Promise<void> {
    await tx.execute('UPDATE user_directory_position SET position = ? WHERE id = 1 AND position < ?', [
      position,
      position,
    ])
  }

  /**
   * Changes of state that matter after one position of the stream and up to another, about `limit` at a time: all of a
   * position, which may have many. `upTo` is how far that goes. Index current_state_deltas_stream.
   */
  async listChanges(
    q: Query,
    range: { readonly from: number; readonly to: number },
    limit: number,
  ): Promise<{ roomNids: number[]; members: UserId[]; upTo: number }> {
    const source = `FROM current_state_deltas d
      WHERE d.stream_ordering > ? AND d.stream_ordering <= ? AND ${q.dialect.anyOf('d.type', 'text')}`
    const types = q.dialect.list(USER_DIRECTORY_STATE_TYPES)
    const last = await q.first<{ stream_ordering: number }>(
      `SELECT d.stream_ordering ${source} ORDER BY d.stream_ordering LIMIT 1 OFFSET ?`,
      [range.from, range.to, types, limit - 1],
    )
    const upTo = last?.stream_ordering ?? range.to
    const rows = await q.all<{ room_nid: number; type: string; state_key: string }>(
      `SELECT d.room_nid, d.type, d.state_key ${source}`,
      [range.from, upTo, types],
    )
    const roomNids = new Set<number>()
    const members = new Set<UserId>()
    for (const row of rows) {
      if (row.type === 'm.room.member') members.add(row.state_key as UserId)
      else if (row.state_key === '') roomNids.add(row.room_nid)
    }
    return { roomNids: [...roomNids], members: [...members], upTo }
  }

  /** Which rooms are open to everybody from now on, and which are not any more. */
  async setOpen(
    tx: Tx,
    { open, closed }: { open: readonly number[]; closed: readonly number[] },
  ): Promise<void> {
    if (closed.length > 0) {
      await tx.execute(`DELETE FROM directory_open_rooms WHERE ${tx.dialect.anyOf('room_nid', 'integer')}`, [
        tx.dialect.list(closed),
      ])
    }
    await tx.insertMany(
      'directory_open_rooms',
      open.map((roomNid) => ({ room_nid: roomNid })),
      { columns: { room_nid: 'integer' }, conflict: 'ignore' },
    )
  }

  /** Where people are joined. Index room_members_user. */
  async listMemberships(q: Query, userIds: readonly UserId[]): Promise<RemoteMembership[]> {
    const rows = await q.all<{
      user_id: string
      display_name: string | null
      avatar_url: string | null
      stream_ordering: number
      open_nid: number | null
    }>(
      `SELECT m.user_id, m.display_name, m.avatar_url, m.stream_ordering, o.room_nid AS open_nid
       FROM room_members m LEFT JOIN directory_open_rooms o ON o.room_nid = m.room_nid
       WHERE ${q.dialect.anyOf('m.user_id', 'text')} AND m.membership = 'join'`,
      [q.dialect.list(userIds)],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      displayName: row.display_name ?? undefined,
      avatarUrl: row.avatar_url ?? undefined,
      isOpen: row.open_nid !== null,
      streamOrdering: row.stream_ordering,
    }))
  }

  /** Writes what is known of people anew. */
  async put(tx: Tx, users: readonly DirectoryUser[]): Promise<void> {
    if (users.length === 0) return
    const update = ['display_name', 'avatar_url', 'is_local', 'folded_name', 'folded_localpart']
    await this.#deleteTerms(
      tx,
      users.map(({ userId }) => userId),
    )
    await tx.insertMany(
      'directory_users',
      users.map((user) => ({
        user_id: user.userId,
        display_name: user.displayName ?? null,
        avatar_url: user.avatarUrl ?? null,
        is_local: user.isLocal ? 1 : 0,
        folded_name: user.foldedName,
        folded_localpart: user.foldedLocalpart,
      })),
      {
        columns: {
          user_id: 'text',
          display_name: 'text',
          avatar_url: 'text',
          is_local: 'integer',
          folded_name: 'text',
          folded_localpart: 'text',
        },
        conflict: { key: ['user_id'], update },
      },
    )
    const terms = users.flatMap(({ userId, terms }) => terms.map((term) => ({ term, user_id: userId })))
    await tx.insertMany('directory_terms', terms, {
      columns: { term: 'text', user_id: 'text' },
      conflict: 'ignore',
    })
  }

  async delete(tx: Tx, userIds: readonly UserId[]): Promise<void> {
    if (userIds.length === 0) return
    await this.#deleteTerms(tx, userIds)
    await tx.execute(`DELETE FROM directory_users WHERE ${tx.dialect.anyOf('user_id', 'text')}`, [
      tx.dialect.list(userIds),
    ])
  }

  /** The best matches first. Primary keys of directory_terms and room_members. */
  async search(q: Query, search: UserSearch): Promise<FoundUser[]> {
    const score = scoreSql(search)
    const [first = '', ...others] = search.prefixes
    const conditions = [
      `d.user_id IN (SELECT t.user_id FROM directory_terms t WHERE t.term >= ? AND t.term < ?)`,
      ...others.map(
        () =>
          `EXISTS (SELECT 1 FROM directory_terms t WHERE t.user_id = d.user_id AND t.term >= ? AND t.term < ?)`,
      ),
      accountSql(search),
      search.includesEverybody ? 'd.user_id <> ?' : VISIBLE,
    ]
    const rows = await q.all<{ user_id: string; display_name: string | null; avatar_url: string | null }>(
      `SELECT d.user_id, d.display_name, d.avatar_url, ${score.sql} AS score
       FROM directory_users d LEFT JOIN users u ON u.user_id = d.user_id
       WHERE ${conditions.join(' AND ')} ORDER BY score DESC, d.user_id LIMIT ?`,
      [
        ...score.params,
        ...[first, ...others].flatMap((prefix) => [prefix, prefix + LAST]),
        ...(search.includesEverybody ? [search.requester] : [search.requester, search.requester]),
        search.limit,
      ],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      displayName: row.display_name ?? undefined,
      avatarUrl: row.avatar_url ?? undefined,
    }))
  }

  async #deleteTerms(tx: Tx, userIds: readonly UserId[]): Promise<void> {
    await tx.execute(`DELETE FROM directory_terms WHERE ${tx.dialect.anyOf('user_id', 'text')}`, [
      tx.dialect.list(userIds),
    ])
  }
}

/**
 * Two parameters: the requester, twice. People find themselves only where everybody finds them. Who is in a room that
 * this server has left is not known any more. Index room_members_membership.
 */
const VISIBLE = `(EXISTS (SELECT 1 FROM room_members m JOIN directory_open_rooms o ON o.room_nid = m.room_nid
    WHERE m.user_id = d.user_id AND m.membership = 'join' AND (m.is_local = 1 OR EXISTS (SELECT 1 FROM room_members l
      WHERE l.room_nid = o.room_nid AND l.membership = 'join' AND l.is_local = 1)))
  OR d.user_id <> ? AND EXISTS (SELECT 1 FROM room_members x
    JOIN room_members y ON y.room_nid = x.room_nid AND y.user_id = d.user_id AND y.membership = 'join'
    WHERE x.user_id = ? AND x.membership = 'join'))`

function accountSql({ excludesRemote, showsLocked }: UserSearch): string {
  const active = `u.is_deactivated = 0 AND COALESCE(u.user_type, '') <> 'support'`
  const local = `d.is_local = 1 AND ${active}${showsLocked ? '' : ' AND u.is_locked = 0'}`
  return excludesRemote ? `(${local})` : `(d.is_local = 0 OR ${local})`
}

/** Whole IDs, names and words count more than their beginnings, and people with a name and a picture more than others. */
function scoreSql({ prefixes, typed, folded, prefersLocal }: UserSearch): {
  sql: string
  params: SqlValue[]
} {
  const parts = [
    'CASE WHEN d.user_id = ? THEN 100 ELSE 0 END',
    'CASE WHEN d.folded_name = ? THEN 30 ELSE 0 END',
    'CASE WHEN d.folded_localpart = ? THEN 30 ELSE 0 END',
    'CASE WHEN d.display_name IS NULL THEN 0 ELSE 1 END',
    'CASE WHEN d.avatar_url IS NULL THEN 0 ELSE 1 END',
    ...prefixes.map(
      () =>
        'CASE WHEN EXISTS (SELECT 1 FROM directory_terms t WHERE t.user_id = d.user_id AND t.term = ?) THEN 4 ELSE 0 END',
    ),
    ...(prefersLocal ? ['d.is_local * 50'] : []),
  ]
  return { sql: parts.join(' + '), params: [typed, folded, folded, ...prefixes] }
}
