import type { UserId } from '../../protocol/ids.js'
import { NO_PUSH_RULE_CHANGES, type PushRuleChanges } from '../../protocol/push-rules.js'
import type { CacheRegistry, RowCache } from '../cache-registry.js'
import type { Query, Tx } from '../database.js'
import type { SequenceOptions } from '../streams/sequences.js'

/** Where the ids of the stream come from. */
export const PUSH_RULES_STREAM: SequenceOptions = {
  sequence: 'push_rules_stream_seq',
  table: 'push_rules',
  column: 'stream_id',
}

interface Row {
  user_id: string
  changes: string
}

/** What users have changed of their push rules. Most have changed nothing and have no row, which is remembered too. */
export class PushRulesStore {
  readonly #cache: RowCache<UserId, PushRuleChanges>

  constructor(caches: CacheRegistry, options: { cacheSize: number }) {
    this.#cache = caches.createMutable({ name: 'push_rules', max: options.cacheSize })
  }

  /** Equal objects for as long as nothing changes: what is computed of one may be kept with it. */
  async get(q: Query, userId: UserId): Promise<PushRuleChanges> {
    return (await this.getMany(q, [userId])).get(userId) ?? NO_PUSH_RULE_CHANGES
  }

  /** Of each of the users. By primary key. */
  getMany(q: Query, userIds: readonly UserId[]): Promise<ReadonlyMap<UserId, PushRuleChanges>> {
    return this.#cache.getRows(q, userIds, async (missing) => {
      const rows = await q.all<Row>(
        `SELECT user_id, changes FROM push_rules WHERE ${q.dialect.anyOf('user_id', 'text')}`,
        [q.dialect.list(missing)],
      )
      const stored = new Map(rows.map((row) => [row.user_id, JSON.parse(row.changes) as PushRuleChanges]))
      return new Map(missing.map((userId) => [userId, stored.get(userId) ?? NO_PUSH_RULE_CHANGES]))
    })
  }

  /** Whether the user's rules changed after a position, up to another. By primary key. */
  async changedBetween(q: Query, userId: UserId, range: { from: number; to: number }): Promise<boolean> {
    if (range.from >= range.to) return false
    const row = await q.first<{ stream_id: number }>(
      'SELECT stream_id FROM push_rules WHERE user_id = ? AND stream_id > ? AND stream_id <= ?',
      [userId, range.from, range.to],
    )
    return row !== undefined
  }

  async put(tx: Tx, userId: UserId, changes: PushRuleChanges, streamId: number): Promise<void> {
    await tx.execute(
      `INSERT INTO push_rules (user_id, stream_id, changes) VALUES (?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET stream_id = excluded.stream_id, changes = excluded.changes`,
      [userId, streamId, JSON.stringify(changes)],
    )
    this.#cache.invalidate(tx, userId)
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM push_rules WHERE user_id = ?', [userId])
    this.#cache.invalidate(tx, userId)
  }
}
