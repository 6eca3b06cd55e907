import type { Query, Tx } from '../database.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/** One backup of a user's. */
export interface KeyBackupVersion {
  readonly version: number
  readonly algorithm: string
  readonly authData: JsonObject
  /** Grows with every change of the sessions. */
  readonly etag: number
  /** Of sessions. */
  readonly count: number
  readonly isDeleted: boolean
}

/** A session of a room, encrypted for its user. */
export interface BackedUpSession {
  readonly roomId: RoomId
  readonly sessionId: string
  readonly firstMessageIndex: number
  readonly forwardedCount: number
  readonly isVerified: boolean
  readonly sessionData: JsonObject
}

/** Which sessions: all of a backup, of a room, or one. */
export interface SessionSelection {
  readonly roomId?: RoomId
  readonly sessionId?: string
}

interface VersionRow {
  version: number
  algorithm: string
  auth_data: string
  etag: number
  count: number
  is_deleted: number
}

interface SessionRow {
  room_id: string
  session_id: string
  first_message_index: number
  forwarded_count: number
  is_verified: number
  session_data: string
}

const SESSION_COLUMNS = {
  room_id: 'text',
  session_id: 'text',
  first_message_index: 'integer',
  forwarded_count: 'integer',
  is_verified: 'integer',
  session_data: 'text',
} as const

/**
 * Better keys replace others: verified ones, then those that read more of the session, then those that went through
 * fewer hands. https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid
 */
const IS_BETTER = `excluded.is_verified > t.is_verified OR (excluded.is_verified = t.is_verified AND
  (excluded.first_message_index < t.first_message_index OR (excluded.first_message_index = t.first_message_index AND
   excluded.forwarded_count < t.forwarded_count)))`

/** Backups of room keys. */
export class KeyBackupsStore {
  /** Also one that has been deleted. */
  async getVersion(q: Query, userId: UserId, version: number): Promise<KeyBackupVersion | undefined> {
    const row = await q.first<VersionRow>(
      'SELECT * FROM key_backup_versions WHERE user_id = ? AND version = ?',
      [userId, version],
    )
    return row && toVersion(row)
  }

  /** The newest that is not deleted. By primary key prefix. */
  async getCurrent(q: Query, userId: UserId): Promise<KeyBackupVersion | undefined> {
    const row = await q.first<VersionRow>(
      'SELECT * FROM key_backup_versions WHERE user_id = ? AND is_deleted = 0 ORDER BY version DESC LIMIT 1',
      [userId],
    )
    return row && toVersion(row)
  }

  /**
   * Begins a backup and gives its version: one more than the last, deleted or not. Of two at once, PostgreSQL lets one
   * try again.
   */
  async insertVersion(tx: Tx, userId: UserId, algorithm: string, authData: JsonObject): Promise<number> {
    const last = await tx.first<{ version: number | null }>(
      'SELECT MAX(version) AS version FROM key_backup_versions WHERE user_id = ?',
      [userId],
    )
    const version = (last?.version ?? 0) + 1
    await tx.execute(
      `INSERT INTO key_backup_versions (user_id, version, algorithm, auth_data, etag, count, is_deleted)
       VALUES (?, ?, ?, ?, 0, 0, 0) ON CONFLICT (user_id, version) DO NOTHING`,
      [userId, version, algorithm, JSON.stringify(authData)],
    )
    return version
  }

  async setAuthData(tx: Tx, userId: UserId, version: number, authData: JsonObject): Promise<void> {
    await tx.execute('UPDATE key_backup_versions SET auth_data = ? WHERE user_id = ? AND version = ?', [
      JSON.stringify(authData),
      userId,
      version,
    ])
  }

  /** Says how the sessions of a backup stand now. */
  async setCount(
    tx: Tx,
    userId: UserId,
    version: number,
    { etag, count }: { etag: number; count: number },
  ): Promise<void> {
    await tx.execute('UPDATE key_backup_versions SET etag = ?, count = ? WHERE user_id = ? AND version = ?', [
      etag,
      count,
      userId,
      version,
    ])
  }

  /** Deletes a backup with its sessions. */
  async deleteVersion(tx: Tx, userId: UserId, version: number): Promise<void> {
    await tx.execute(
      `UPDATE key_backup_versions SET is_deleted = 1, count = 0, auth_data = '{}' WHERE user_id = ? AND version = ?`,
      [userId, version],
    )
    await this.deleteSessions(tx, userId, version, {})
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM key_backup_sessions WHERE user_id = ?', [userId])
    await tx.execute('DELETE FROM key_backup_versions WHERE user_id = ?', [userId])
  }

  /** In the order of rooms and sessions. By primary key prefix. */
  async listSessions(
    q: Query,
    userId: UserId,
    version: number,
    selection: SessionSelection,
  ): Promise<BackedUpSession[]> {
    const { where, params } = select(userId, version, selection)
    const rows = await q.all<SessionRow>(
      `SELECT * FROM key_backup_sessions WHERE ${where} ORDER BY room_id, session_id`,
      params,
    )
    return rows.map(toSession)
  }

  /** Some of a backup's sessions, in the order of rooms and sessions: those behind `after`. By primary key. */
  async pageSessions(
    q: Query,
    { userId, version }: { readonly userId: UserId; readonly version: number },
    { after, limit }: { readonly after: Required<SessionSelection> | undefined; readonly limit: number },
  ): Promise<BackedUpSession[]> {
    const rows = await q.all<SessionRow>(
      `SELECT * FROM key_backup_sessions WHERE user_id = ? AND version = ? AND (room_id, session_id) > (?, ?)
       ORDER BY room_id, session_id LIMIT ?`,
      [userId, version, after?.roomId ?? '', after?.sessionId ?? '', limit],
    )
    return rows.map(toSession)
  }

  /**
   * Stores sessions where they are new, or better than those that are there: two statements for any number. Gives how
   * many were new and how many were written at all.
   */
  async putSessions(
    tx: Tx,
    userId: UserId,
    version: number,
    sessions: readonly BackedUpSession[],
  ): Promise<{ added: number; written: number }> {
    if (sessions.length === 0) return { added: 0, written: 0 }
    const known = await tx.first<{ count: number }>(
      `SELECT COUNT(*) AS count FROM key_backup_sessions t WHERE t.user_id = ? AND t.version = ?
       AND (t.room_id, t.session_id) IN (
         SELECT r.room_id, r.session_id FROM ${tx.dialect.rowsFrom({ room_id: 'text', session_id: 'text' })} AS r)`,
      [
        userId,
        version,
        tx.dialect.rows(
          sessions.map(({ roomId, sessionId }) => ({ room_id: roomId, session_id: sessionId })),
        ),
      ],
    )
    const columns = Object.keys(SESSION_COLUMNS)
    const updates = columns.slice(2).map((name) => `${name} = excluded.${name}`)
    const written = await tx.execute(
      `INSERT INTO key_backup_sessions AS t (user_id, version, ${columns.join(', ')})
       SELECT CAST(? AS TEXT), CAST(? AS BIGINT), ${columns.map((name) => `r.${name}`).join(', ')}
       FROM ${tx.dialect.rowsFrom(SESSION_COLUMNS)} AS r WHERE TRUE
       ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE SET ${updates.join(', ')} WHERE ${IS_BETTER}`,
      [userId, version, tx.dialect.rows(sessions.map(toRow))],
    )
    return { added: sessions.length - (known?.count ?? 0), written }
  }

  /** Deletes sessions and gives how many. */
  async deleteSessions(
    tx: Tx,
    userId: UserId,
    version: number,
    selection: SessionSelection,
  ): Promise<number> {
    const { where, params } = select(userId, version, selection)
    return tx.execute(`DELETE FROM key_backup_sessions WHERE ${where}`, params)
  }
}

function select(userId: UserId, version: number, { roomId, sessionId }: SessionSelection) {
  const terms = ['user_id = ?', 'version = ?']
  const params: (string | number)[] = [userId, version]
  if (roomId !== undefined) {
    terms.push('room_id = ?')
    params.push(roomId)
  }
  if (sessionId !== undefined) {
    terms.push('session_id = ?')
    params.push(sessionId)
  }
  return { where: terms.join(' AND '), params }
}

function toRow(session: BackedUpSession): Record<keyof typeof SESSION_COLUMNS, string | number> {
  return {
    room_id: session.roomId,
    session_id: session.sessionId,
    first_message_index: session.firstMessageIndex,
    forwarded_count: session.forwardedCount,
    is_verified: session.isVerified ? 1 : 0,
    session_data: JSON.stringify(session.sessionData),
  }
}

function toVersion(row: VersionRow): KeyBackupVersion {
  return {
    version: row.version,
    algorithm: row.algorithm,
    authData: JSON.parse(row.auth_data) as JsonObject,
    etag: row.etag,
    count: row.count,
    isDeleted: row.is_deleted === 1,
  }
}

function toSession(row: SessionRow): BackedUpSession {
  return {
    roomId: row.room_id as RoomId,
    sessionId: row.session_id,
    firstMessageIndex: row.first_message_index,
    forwardedCount: row.forwarded_count,
    isVerified: row.is_verified === 1,
    sessionData: JSON.parse(row.session_data) as JsonObject,
  }
}
