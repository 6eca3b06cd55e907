import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** Filters that clients have uploaded. */
export class FiltersStore {
  /** By primary key. */
  async get(q: Query, userId: UserId, filterId: number): Promise<JsonObject | undefined> {
    const row = await q.first<{ json: string }>(
      'SELECT json FROM filters WHERE user_id = ? AND filter_id = ?',
      [userId, filterId],
    )
    if (row === undefined) return undefined
    const filter: unknown = JSON.parse(row.json)
    return isJsonObject(filter) ? filter : {}
  }

  /** The ID that an equal filter of the user already has. Unique index on (user_id, hash). */
  async findByHash(q: Query, userId: UserId, hash: string): Promise<number | undefined> {
    const row = await q.first<{ filter_id: number }>(
      'SELECT filter_id FROM filters WHERE user_id = ? AND hash = ?',
      [userId, hash],
    )
    return row?.filter_id
  }

  /** How many filters the user has. */
  async count(q: Query, userId: UserId): Promise<number> {
    const row = await q.first<{ n: number }>('SELECT COUNT(*) AS n FROM filters WHERE user_id = ?', [userId])
    return row?.n ?? 0
  }

  /**
   * Returns the ID of the filter: the user's next one, counted from 0. When another transaction takes the same ID or
   * inserts the same filter, the conflict clause makes that a reason to try again, which a duplicate key is not.
   */
  async insert(tx: Tx, userId: UserId, filter: { hash: string; json: string }): Promise<number> {
    const row = await tx.first<{ filter_id: number }>(
      `INSERT INTO filters (user_id, filter_id, hash, json)
       SELECT ?, COALESCE(MAX(filter_id), -1) + 1, ?, ? FROM filters WHERE user_id = ?
       ON CONFLICT DO NOTHING RETURNING filter_id`,
      [userId, filter.hash, filter.json, userId],
    )
    if (row === undefined) throw new Error('No filter was inserted')
    return row.filter_id
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM filters WHERE user_id = ?', [userId])
  }
}
