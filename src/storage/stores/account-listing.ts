import type { UserId } from '../../protocol/ids.js'
import type { Query, SqlValue } from '../database.js'
import { toUserRecord, type UserRecord, type UserRow } from './users.js'
import { pushTo } from '../../util/group-by.js'

/** Which accounts are meant: all conditions hold; what is absent does not matter. */
export interface AccountSelection {
  readonly isAdmin?: boolean | undefined
  readonly isDeactivated?: boolean | undefined
  readonly isGuest?: boolean | undefined
  readonly isLocked?: boolean | undefined
  readonly isSuspended?: boolean | undefined
  /** Part of the user ID or of the display name, in upper or lower case. */
  readonly search?: string | undefined
  /** Part of the user ID alone. */
  readonly searchUserId?: string | undefined
  /** In milliseconds. */
  readonly createdSince?: number | undefined
  /** False: only accounts of people, without those of application services. */
  readonly ofAppservices?: boolean | undefined
  /** Those of any of these kinds; `''` stands for those without one. */
  readonly userTypes?: readonly string[] | undefined
  readonly exceptUserTypes?: readonly string[] | undefined
}

/** What lists of accounts may be sorted by. */
export type AccountOrder =
  | 'userId'
  | 'createdTs'
  | 'lastSeenTs'
  | 'displayName'
  | 'avatarUrl'
  | 'isAdmin'
  | 'isGuest'
  | 'isDeactivated'
  | 'isShadowBanned'
  | 'isLocked'
  | 'userType'

export interface AccountPage {
  readonly orderBy: AccountOrder
  readonly isDescending: boolean
  /** How many to pass over. */
  readonly from: number
  readonly limit: number
}

/** An account as it stands in lists. */
export interface ListedAccount extends UserRecord {
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
  /** Of any of its devices. */
  readonly lastSeenTs: number | undefined
}

const ORDER_COLUMNS: Readonly<Record<AccountOrder, string>> = {
  userId: 'u.user_id',
  createdTs: 'u.created_ts',
  lastSeenTs: 'last_seen_ts',
  displayName: 'p.display_name',
  avatarUrl: 'p.avatar_url',
  isAdmin: 'u.is_admin',
  isGuest: 'u.is_guest',
  isDeactivated: 'u.is_deactivated',
  isShadowBanned: 'u.is_shadow_banned',
  isLocked: 'u.is_locked',
  userType: 'u.user_type',
}

const FLAGS = [
  ['isAdmin', 'u.is_admin'],
  ['isDeactivated', 'u.is_deactivated'],
  ['isGuest', 'u.is_guest'],
  ['isLocked', 'u.is_locked'],
  ['isSuspended', 'u.is_suspended'],
] as const

const FROM = 'FROM users u LEFT JOIN profiles p ON p.user_id = u.user_id'

/** Lists of accounts, for administrators. They read the whole table. */
export class AccountListingStore {
  /** A page of accounts, and how many there are in all. */
  async list(
    q: Query,
    selection: AccountSelection,
    page: AccountPage,
  ): Promise<{ accounts: ListedAccount[]; total: number }> {
    const { sql, params } = condition(q, selection)
    const direction = page.isDescending ? 'DESC' : 'ASC'
    // NULL is the smallest, on both databases.
    const nulls = page.isDescending ? 'NULLS LAST' : 'NULLS FIRST'
    const rows = await q.all<
      UserRow & { display_name: string | null; avatar_url: string | null; last_seen_ts: number | null }
    >(
      `SELECT u.*, p.display_name, p.avatar_url,
         (SELECT MAX(d.last_seen_ts) FROM devices d WHERE d.user_id = u.user_id) AS last_seen_ts
       ${FROM} ${sql} ORDER BY ${ORDER_COLUMNS[page.orderBy]} ${direction} ${nulls}, u.user_id LIMIT ? OFFSET ?`,
      [...params, page.limit, page.from],
    )
    const count = await q.first<{ n: number }>(`SELECT COUNT(*) AS n ${FROM} ${sql}`, params)
    const accounts = rows.map((row) => ({
      ...toUserRecord(row),
      displayName: row.display_name ?? undefined,
      avatarUrl: row.avatar_url ?? undefined,
      lastSeenTs: row.last_seen_ts ?? undefined,
    }))
    return { accounts, total: count?.n ?? 0 }
  }

  /** In how many rooms each of these users has which membership. Index room_members_user. */
  async countMemberships(
    q: Query,
    userIds: readonly UserId[],
  ): Promise<{ userId: UserId; membership: string; isPublic: boolean; rooms: number }[]> {
    if (userIds.length === 0) return []
    const rows = await q.all<{ user_id: string; membership: string; is_public: number; n: number }>(
      `SELECT m.user_id, m.membership, r.is_public, COUNT(*) AS n
       FROM room_members m JOIN rooms r ON r.room_nid = m.room_nid
       WHERE ${q.dialect.anyOf('m.user_id', 'text')}
       GROUP BY m.user_id, m.membership, r.is_public ORDER BY m.user_id, m.membership, r.is_public`,
      [q.dialect.list(userIds)],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      membership: row.membership,
      isPublic: row.is_public === 1,
      rooms: row.n,
    }))
  }

  /** The e-mail addresses of these users. Index user_threepids_user. */
  async listEmails(q: Query, userIds: readonly UserId[]): Promise<Map<UserId, string[]>> {
    return this.#textsByUser(
      q,
      `SELECT user_id, address AS text FROM user_threepids
       WHERE medium = 'email' AND ${q.dialect.anyOf('user_id', 'text')} ORDER BY user_id, address`,
      userIds,
    )
  }

  /** Who is known by an ID to one of these services. */
  async findByExternalId(q: Query, authProvider: string, externalId: string): Promise<UserId | undefined> {
    const row = await q.first<{ user_id: string }>(
      'SELECT user_id FROM user_external_ids WHERE auth_provider = ? AND external_id = ?',
      [authProvider, externalId],
    )
    return row?.user_id as UserId | undefined
  }

  /** As whom a user is known to services by which people log in. Index user_external_ids_user. */
  async listExternalIds(q: Query, userId: UserId): Promise<{ authProvider: string; externalId: string }[]> {
    const rows = await q.all<{ auth_provider: string; external_id: string }>(
      `SELECT auth_provider, external_id FROM user_external_ids WHERE user_id = ?
       ORDER BY auth_provider, external_id`,
      [userId],
    )
    return rows.map((row) => ({ authProvider: row.auth_provider, externalId: row.external_id }))
  }

  /** The addresses from which these users came, each once, at most the 100 newest of each user. */
  async listAddresses(q: Query, userIds: readonly UserId[]): Promise<Map<UserId, string[]>> {
    return this.#textsByUser(
      q,
      `SELECT user_id, text FROM (
         SELECT user_id, ip AS text, MAX(last_seen_ts) AS seen,
           ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY MAX(last_seen_ts) DESC, ip) AS place
         FROM client_ips WHERE ${q.dialect.anyOf('user_id', 'text')} GROUP BY user_id, ip) AS a
       WHERE place <= 100 ORDER BY user_id, place`,
      userIds,
    )
  }

  /** How much a user has uploaded, and how many pushers and tokens without a device there are. */
  async countBelongings(
    q: Query,
    userId: UserId,
  ): Promise<{ mediaFiles: number; mediaBytes: number; pushers: number; deviceless: number }> {
    const row = await q.first<{
      files: number
      bytes: number
      pushers: number
      deviceless: number
    }>(
      `SELECT m.files, m.bytes,
         (SELECT COUNT(*) FROM pushers WHERE user_id = ?) AS pushers,
         (SELECT COUNT(*) FROM access_tokens WHERE user_id = ? AND device_id IS NULL) AS deviceless
       FROM (SELECT COUNT(*) AS files, CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes
             FROM media WHERE user_id = ?) AS m`,
      [userId, userId, userId],
    )
    return {
      mediaFiles: row?.files ?? 0,
      mediaBytes: row?.bytes ?? 0,
      pushers: row?.pushers ?? 0,
      deviceless: row?.deviceless ?? 0,
    }
  }

  /** How many invitations a user has sent since then, in milliseconds. Index events_acts_on_members. */
  async countInvitations(q: Query, userId: UserId, since: number): Promise<number> {
    // The operator gives JSON: as text it would fail at events with \u0000 anywhere in them.
    const isInvitation =
      q.dialect.name === 'sqlite'
        ? `json_extract(json, '$.content.membership') = 'invite'`
        : `CAST(CAST(json AS json) #> '{content,membership}' AS TEXT) = '"invite"'`
    const row = await q.first<{ n: number }>(
      `SELECT COUNT(*) AS n FROM events
       WHERE sender = ? AND received_ts >= ? AND type = 'm.room.member' AND state_key <> sender
         AND rejected IS NULL AND ${isInvitation}`,
      [userId, since],
    )
    return row?.n ?? 0
  }

  /** How many rooms a user has joined since then, in milliseconds, also those that they have left. By primary key prefix. */
  async countJoinedRooms(q: Query, userId: UserId, since: number): Promise<number> {
    const row = await q.first<{ n: number }>(
      `SELECT COUNT(DISTINCT l.room_nid) AS n FROM local_memberships l JOIN events e ON e.event_nid = l.event_nid
       WHERE l.user_id = ? AND l.membership = 'join' AND e.received_ts >= ?`,
      [userId, since],
    )
    return row?.n ?? 0
  }

  async #textsByUser(q: Query, sql: string, userIds: readonly UserId[]): Promise<Map<UserId, string[]>> {
    const found = new Map<UserId, string[]>()
    if (userIds.length === 0) return found
    for (const row of await q.all<{ user_id: string; text: string }>(sql, [q.dialect.list(userIds)])) {
      const userId = row.user_id as UserId
      pushTo(found, userId, row.text)
    }
    return found
  }
}

function condition(q: Query, selection: AccountSelection): { sql: string; params: SqlValue[] } {
  const parts: string[] = []
  const params: SqlValue[] = []
  const add = (sql: string, ...values: SqlValue[]): void => {
    parts.push(sql)
    params.push(...values)
  }
  for (const [name, column] of FLAGS) {
    const wanted = selection[name]
    if (wanted !== undefined) add(`${column} = ?`, Number(wanted))
  }
  if (selection.search !== undefined) {
    const pattern = containing(selection.search)
    add(
      `(LOWER(u.user_id) LIKE ? ESCAPE '!' OR LOWER(COALESCE(p.display_name, '')) LIKE ? ESCAPE '!')`,
      pattern,
      pattern,
    )
  }
  if (selection.searchUserId !== undefined) {
    add(`LOWER(u.user_id) LIKE ? ESCAPE '!'`, containing(selection.searchUserId))
  }
  if (selection.createdSince !== undefined) add('u.created_ts >= ?', selection.createdSince)
  if (selection.ofAppservices !== undefined) {
    add(`u.appservice_id IS ${selection.ofAppservices ? 'NOT NULL' : 'NULL'}`)
  }
  const type = q.dialect.anyOf(`COALESCE(u.user_type, '')`, 'text')
  if (selection.userTypes !== undefined) add(type, q.dialect.list(selection.userTypes))
  if (selection.exceptUserTypes !== undefined) {
    add(`NOT (${type})`, q.dialect.list(selection.exceptUserTypes))
  }
  return { sql: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, params }
}

/** A pattern of LIKE. */
function containing(text: string): string {
  return `%${text.toLowerCase().replace(/[!%_]/g, '!$&')}%`
}
