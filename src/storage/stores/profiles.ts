import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** What a local user says of themselves. */
export interface ProfileRecord {
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
  /** Everything else, by field name. */
  readonly fields: Readonly<JsonObject>
}

interface Row {
  user_id: string
  display_name: string | null
  avatar_url: string | null
  fields: string
}

/** Profiles of local users. */
export class ProfilesStore {
  async get(q: Query, userId: UserId): Promise<ProfileRecord | undefined> {
    const row = await q.first<Row>('SELECT * FROM profiles WHERE user_id = ?', [userId])
    return row && toRecord(row)
  }

  /** Several profiles; people without one are absent. */
  async getMany(q: Query, userIds: readonly UserId[]): Promise<Map<UserId, ProfileRecord>> {
    if (userIds.length === 0) return new Map()
    const rows = await q.all<Row>(`SELECT * FROM profiles WHERE ${q.dialect.anyOf('user_id', 'text')}`, [
      q.dialect.list(userIds),
    ])
    return new Map(rows.map((row) => [row.user_id as UserId, toRecord(row)]))
  }

  /** Writes the whole profile. */
  async put(tx: Tx, userId: UserId, profile: ProfileRecord): Promise<void> {
    await tx.execute(
      `INSERT INTO profiles (user_id, display_name, avatar_url, fields) VALUES (?, ?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET display_name = excluded.display_name, avatar_url = excluded.avatar_url,
         fields = excluded.fields`,
      [userId, profile.displayName ?? null, profile.avatarUrl ?? null, JSON.stringify(profile.fields)],
    )
    await this.#noteChange(tx, userId)
  }

  async delete(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM profiles WHERE user_id = ?', [userId])
    await this.#noteChange(tx, userId)
  }

  /** Profiles that have changed since somebody last took the changes away, the oldest first. */
  async listChanges(q: Query, limit: number): Promise<{ readonly id: number; readonly userId: UserId }[]> {
    const rows = await q.all<{ id: number; user_id: string }>(
      'SELECT id, user_id FROM profile_changes ORDER BY id LIMIT ?',
      [limit],
    )
    return rows.map((row) => ({ id: row.id, userId: row.user_id as UserId }))
  }

  /** The changes have been taken in. */
  async deleteChanges(tx: Tx, ids: readonly number[]): Promise<void> {
    await tx.execute(`DELETE FROM profile_changes WHERE ${tx.dialect.anyOf('id', 'integer')}`, [
      tx.dialect.list(ids),
    ])
  }

  async #noteChange(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('INSERT INTO profile_changes (user_id) VALUES (?)', [userId])
  }
}

function toRecord(row: Row): ProfileRecord {
  const fields: unknown = JSON.parse(row.fields)
  return {
    displayName: row.display_name ?? undefined,
    avatarUrl: row.avatar_url ?? undefined,
    fields: isJsonObject(fields) ? fields : {},
  }
}
