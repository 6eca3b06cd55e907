import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'

/** An account of this server. */
export interface UserRecord {
  readonly userId: UserId
  /** bcrypt; undefined for accounts that have no password. */
  readonly passwordHash: string | undefined
  readonly createdTs: number
  readonly isAdmin: boolean
  readonly isGuest: boolean
  readonly isDeactivated: boolean
  readonly isErased: boolean
  readonly isLocked: boolean
  readonly isSuspended: boolean
  readonly isShadowBanned: boolean
  /** `bot`, `support` or a kind of the operator's own. */
  readonly userType: string | undefined
  readonly appserviceId: string | undefined
}

export interface NewUser {
  readonly userId: UserId
  readonly passwordHash: string | undefined
  readonly createdTs: number
  readonly isAdmin?: boolean
  readonly isGuest?: boolean
  readonly userType?: string | undefined
  readonly appserviceId?: string | undefined
}

/** What can be said about an account, each by its own column. */
export type UserFlag = 'isAdmin' | 'isErased' | 'isLocked' | 'isSuspended' | 'isShadowBanned'

const FLAG_COLUMNS: Readonly<Record<UserFlag, string>> = {
  isAdmin: 'is_admin',
  isErased: 'is_erased',
  isLocked: 'is_locked',
  isSuspended: 'is_suspended',
  isShadowBanned: 'is_shadow_banned',
}

/** A row of `users`. */
export interface UserRow {
  user_id: string
  password_hash: string | null
  created_ts: number
  is_admin: number
  is_guest: number
  is_deactivated: number
  is_erased: number
  is_locked: number
  is_suspended: number
  is_shadow_banned: number
  user_type: string | null
  appservice_id: string | null
}

/** The accounts of this server. */
export class UsersStore {
  /** By primary key. */
  async get(q: Query, userId: UserId): Promise<UserRecord | undefined> {
    const row = await q.first<UserRow>('SELECT * FROM users WHERE user_id = ?', [userId])
    return row && toUserRecord(row)
  }

  /** Whether the user ID has ever been given out. By primary key. */
  async exists(q: Query, userId: UserId): Promise<boolean> {
    return (await q.first('SELECT 1 AS found FROM users WHERE user_id = ?', [userId])) !== undefined
  }

  /** Those of these user IDs that are given out, whatever their letters' case. At most some hundreds. Index users_folded. */
  async listAnyCase(q: Query, userIds: readonly UserId[]): Promise<UserId[]> {
    const rows = await q.all<{ user_id: UserId }>(
      `SELECT u.user_id FROM ${q.dialect.rowsFrom({ user_id: 'text' })} AS r
       JOIN users u ON lower(u.user_id) = r.user_id ORDER BY u.user_id`,
      [q.dialect.rows([...new Set(userIds)].map((userId) => ({ user_id: foldCase(userId) })))],
    )
    return rows.map((row) => row.user_id)
  }

  /** Who has asked for their messages to be hidden from people who were not there. Index users_erased. */
  async listErased(q: Query): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>('SELECT user_id FROM users WHERE is_erased = 1')
    return rows.map((row) => row.user_id as UserId)
  }

  /** False when the user ID is taken. */
  async insert(tx: Tx, user: NewUser): Promise<boolean> {
    const changed = await tx.execute(
      `INSERT INTO users (user_id, password_hash, created_ts, is_admin, is_guest, user_type, appservice_id)
       VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user_id) DO NOTHING`,
      [
        user.userId,
        user.passwordHash ?? null,
        user.createdTs,
        user.isAdmin ? 1 : 0,
        user.isGuest ? 1 : 0,
        user.userType ?? null,
        user.appserviceId ?? null,
      ],
    )
    return changed === 1
  }

  /** Makes a guest an ordinary user; false when the user is not a guest. */
  async upgradeGuest(tx: Tx, userId: UserId, passwordHash: string): Promise<boolean> {
    const changed = await tx.execute(
      `UPDATE users SET is_guest = 0, password_hash = ? WHERE user_id = ? AND is_guest = 1 AND is_deactivated = 0`,
      [passwordHash, userId],
    )
    return changed === 1
  }

  /** `undefined` removes the password. */
  async setPasswordHash(tx: Tx, userId: UserId, passwordHash: string | undefined): Promise<void> {
    await tx.execute('UPDATE users SET password_hash = ? WHERE user_id = ?', [passwordHash ?? null, userId])
  }

  async setFlag(tx: Tx, userId: UserId, flag: UserFlag, value: boolean): Promise<void> {
    await tx.execute(`UPDATE users SET ${FLAG_COLUMNS[flag]} = ? WHERE user_id = ?`, [value ? 1 : 0, userId])
  }

  /** Ends the account: no password, no rights. False when it was deactivated before, or is not there. */
  async deactivate(tx: Tx, userId: UserId): Promise<boolean> {
    const changed = await tx.execute(
      `UPDATE users SET is_deactivated = 1, is_admin = 0, password_hash = NULL
       WHERE user_id = ? AND is_deactivated = 0`,
      [userId],
    )
    return changed === 1
  }

  /** Begins an account again that was deactivated, with a password or without one. */
  async reactivate(tx: Tx, userId: UserId, passwordHash: string | undefined): Promise<void> {
    await tx.execute(
      'UPDATE users SET is_deactivated = 0, is_erased = 0, password_hash = ? WHERE user_id = ? AND is_deactivated = 1',
      [passwordHash ?? null, userId],
    )
  }

  /** `undefined`: of no kind. */
  async setUserType(tx: Tx, userId: UserId, userType: string | undefined): Promise<void> {
    await tx.execute('UPDATE users SET user_type = ? WHERE user_id = ?', [userType ?? null, userId])
  }

  /** A number that was never handed out before, for a localpart. */
  async allocateNumericLocalpart(tx: Tx): Promise<number> {
    const row = await tx.first<{ id: number }>(
      'INSERT INTO numeric_localparts (used) VALUES (1) RETURNING id',
    )
    if (row === undefined) throw new Error('No numeric localpart was allocated')
    await tx.execute('DELETE FROM numeric_localparts WHERE id = ?', [row.id])
    return row.id
  }

  async insertPendingDeactivation(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute(
      'INSERT INTO pending_deactivations (user_id) VALUES (?) ON CONFLICT (user_id) DO NOTHING',
      [userId],
    )
  }

  async deletePendingDeactivation(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM pending_deactivations WHERE user_id = ?', [userId])
  }

  /** Deactivated users who have yet to leave their rooms. */
  async listPendingDeactivations(q: Query): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      'SELECT user_id FROM pending_deactivations ORDER BY user_id',
    )
    return rows.map((row) => row.user_id as UserId)
  }
}

/** What a row says. */
export function toUserRecord(row: UserRow): UserRecord {
  return {
    userId: row.user_id as UserId,
    passwordHash: row.password_hash ?? undefined,
    createdTs: row.created_ts,
    isAdmin: row.is_admin === 1,
    isGuest: row.is_guest === 1,
    isDeactivated: row.is_deactivated === 1,
    isErased: row.is_erased === 1,
    isLocked: row.is_locked === 1,
    isSuspended: row.is_suspended === 1,
    isShadowBanned: row.is_shadow_banned === 1,
    userType: row.user_type ?? undefined,
    appserviceId: row.appservice_id ?? undefined,
  }
}

/** As both databases fold what is written in ASCII. */
function foldCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
