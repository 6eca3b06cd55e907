import type { CacheRegistry, RowCache } from '../cache-registry.js'
import type { Query, Tx } from '../database.js'
import type { DeviceAddress, OneTimeKey } from '../../protocol/device-keys.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/** The identity keys of a device, and what people may see next to them. */
export interface DeviceKeysRecord extends DeviceAddress {
  readonly keys: JsonObject
  readonly displayName: string | undefined
}

/** How many keys a device has left. */
export interface KeyCounts {
  /** One-time keys that nobody has claimed, by algorithm; algorithms without any are left out. */
  readonly oneTimeKeys: Readonly<Record<string, number>>
  /** Algorithms of fallback keys that nobody has been given. */
  readonly unusedFallbackTypes: readonly string[]
}

/** How many keys of one kind somebody wants. */
export interface WantedKeys extends DeviceAddress {
  readonly algorithm: string
  readonly amount: number
}

/** A key that has been given to somebody. */
export interface ClaimedKey extends DeviceAddress, OneTimeKey {}

interface KeyRow {
  user_id: string
  device_id: string
  algorithm: string
  key_id: string
  key: string
}

const WANTED = { user_id: 'text', device_id: 'text', algorithm: 'text', amount: 'integer' } as const

/** The keys of devices: for identity, for one use, and for when those are gone. */
export class E2eKeysStore {
  readonly #counts: RowCache<string, KeyCounts>

  constructor(caches: CacheRegistry) {
    this.#counts = caches.createMutable({ name: 'e2e_key_counts', max: 50_000 })
  }

  async getDeviceKeys(q: Query, { userId, deviceId }: DeviceAddress): Promise<JsonObject | undefined> {
    const row = await q.first<{ keys: string }>(
      'SELECT keys FROM device_keys WHERE user_id = ? AND device_id = ?',
      [userId, deviceId],
    )
    return row && (JSON.parse(row.keys) as JsonObject)
  }

  /** Of all devices of these users that have keys, in the order of users and devices. By primary key prefix. */
  async listDeviceKeys(q: Query, userIds: readonly UserId[]): Promise<DeviceKeysRecord[]> {
    if (userIds.length === 0) return []
    const rows = await q.all<{
      user_id: string
      device_id: string
      keys: string
      display_name: string | null
    }>(
      `SELECT k.user_id, k.device_id, k.keys, d.display_name FROM device_keys k
       JOIN devices d ON d.user_id = k.user_id AND d.device_id = k.device_id
       WHERE ${q.dialect.anyOf('k.user_id', 'text')} ORDER BY k.user_id, k.device_id`,
      [q.dialect.list(userIds)],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      deviceId: row.device_id as DeviceId,
      keys: JSON.parse(row.keys) as JsonObject,
      displayName: row.display_name ?? undefined,
    }))
  }

  async setDeviceKeys(tx: Tx, { userId, deviceId }: DeviceAddress, keys: JsonObject): Promise<void> {
    await tx.execute(
      `INSERT INTO device_keys (user_id, device_id, keys) VALUES (?, ?, ?)
       ON CONFLICT (user_id, device_id) DO UPDATE SET keys = excluded.keys`,
      [userId, deviceId, JSON.stringify(keys)],
    )
  }

  /** Which of these names of one-time keys the device has used already: the key, and whether somebody has claimed it. */
  async listKnown(
    q: Query,
    { userId, deviceId }: DeviceAddress,
    keys: readonly OneTimeKey[],
  ): Promise<(OneTimeKey & { isClaimed: boolean })[]> {
    if (keys.length === 0) return []
    const rows = await q.all<KeyRow & { is_claimed: number }>(
      `SELECT user_id, device_id, algorithm, key_id, key,
         CASE WHEN claimed_ts IS NULL THEN 0 ELSE 1 END AS is_claimed
       FROM one_time_keys WHERE user_id = ? AND device_id = ? AND (algorithm, key_id) IN (
         SELECT w.algorithm, w.key_id FROM ${q.dialect.rowsFrom({ algorithm: 'text', key_id: 'text' })} AS w)`,
      [userId, deviceId, q.dialect.rows(keys.map(({ algorithm, keyId }) => ({ algorithm, key_id: keyId })))],
    )
    return rows.map((row) => ({ ...toKey(row), isClaimed: row.is_claimed === 1 }))
  }

  /** Adds one-time keys; one that has been claimed under the same name is replaced. */
  async addOneTimeKeys(
    tx: Tx,
    address: DeviceAddress,
    keys: readonly OneTimeKey[],
    uploadedTs: number,
  ): Promise<void> {
    await tx.insertMany(
      'one_time_keys',
      keys.map(({ algorithm, keyId, key }) => ({
        user_id: address.userId,
        device_id: address.deviceId,
        algorithm,
        key_id: keyId,
        key: JSON.stringify(key),
        uploaded_ts: uploadedTs,
        claimed_ts: null,
      })),
      {
        columns: {
          user_id: 'text',
          device_id: 'text',
          algorithm: 'text',
          key_id: 'text',
          key: 'text',
          uploaded_ts: 'integer',
          claimed_ts: 'integer',
        },
        conflict: {
          key: ['user_id', 'device_id', 'algorithm', 'key_id'],
          update: ['key', 'uploaded_ts', 'claimed_ts'],
        },
      },
    )
    this.#counts.invalidate(tx, keyOf(address))
  }

  /** Forgets keys of the device that were claimed before `ts`. Index one_time_keys_claimed. */
  async deleteClaimed(tx: Tx, { userId, deviceId }: DeviceAddress, ts: number): Promise<void> {
    await tx.execute('DELETE FROM one_time_keys WHERE user_id = ? AND device_id = ? AND claimed_ts < ?', [
      userId,
      deviceId,
      ts,
    ])
  }

  /**
   * Hands out the keys that were uploaded first, as many as are wanted and there: each to one caller only. Keys of one
   * device come in order. Index one_time_keys_unclaimed.
   */
  async claim(tx: Tx, wanted: readonly WantedKeys[], claimedTs: number): Promise<ClaimedKey[]> {
    if (wanted.length === 0) return []
    const rowsWanted = tx.dialect.rows(
      wanted.map(({ userId, deviceId, algorithm, amount }) => ({
        user_id: userId,
        device_id: deviceId,
        algorithm,
        amount,
      })),
    )
    const isPostgres = tx.dialect.name === 'postgres'
    const rows = await tx.all<KeyRow & { uploaded_ts: number }>(
      isPostgres ? claimOnPostgres(tx) : claimOnSqlite(tx),
      isPostgres ? [rowsWanted, claimedTs] : [claimedTs, rowsWanted],
    )
    for (const row of rows) this.#counts.invalidate(tx, keyOf(toKey(row)))
    return rows.sort((a, b) => a.uploaded_ts - b.uploaded_ts || (a.key_id < b.key_id ? -1 : 1)).map(toKey)
  }

  /** The fallback keys of these devices and algorithms, which count as used from now on. */
  async useFallbackKeys(tx: Tx, wanted: readonly Omit<WantedKeys, 'amount'>[]): Promise<ClaimedKey[]> {
    if (wanted.length === 0) return []
    const { amount: _amount, ...columns } = WANTED
    const values = tx.dialect.rows(
      wanted.map(({ userId, deviceId, algorithm }) => ({ user_id: userId, device_id: deviceId, algorithm })),
    )
    const rows = await tx.all<KeyRow & { used: number }>(
      `SELECT * FROM fallback_keys WHERE (user_id, device_id, algorithm) IN (
         SELECT w.user_id, w.device_id, w.algorithm FROM ${tx.dialect.rowsFrom(columns)} AS w)`,
      [values],
    )
    // Written once only: a device that is away may be asked for its fallback key all the time.
    const unused = rows.filter(({ used }) => used === 0)
    await this.#writeFallbackKeys(
      tx,
      unused.map((row) => ({ ...row, used: 1 })),
    )
    return rows.map(toKey)
  }

  /** All fallback keys of a device. */
  async listFallbackKeys(q: Query, { userId, deviceId }: DeviceAddress): Promise<OneTimeKey[]> {
    const rows = await q.all<KeyRow>('SELECT * FROM fallback_keys WHERE user_id = ? AND device_id = ?', [
      userId,
      deviceId,
    ])
    return rows.map(toKey)
  }

  /** Sets fallback keys, each instead of the one of the same algorithm. They count as not used. */
  async setFallbackKeys(
    tx: Tx,
    { userId, deviceId }: DeviceAddress,
    keys: readonly OneTimeKey[],
  ): Promise<void> {
    await this.#writeFallbackKeys(
      tx,
      keys.map(({ algorithm, keyId, key }) => ({
        user_id: userId,
        device_id: deviceId,
        algorithm,
        key_id: keyId,
        key: JSON.stringify(key),
        used: 0,
      })),
    )
  }

  /** Mostly without a query. */
  async getCounts(q: Query, address: DeviceAddress): Promise<KeyCounts> {
    const counts = await this.#counts.getRow(q, keyOf(address), () => loadCounts(q, address))
    return counts ?? { oneTimeKeys: {}, unusedFallbackTypes: [] }
  }

  /** Deletes the one-time and fallback keys of these devices. */
  async deleteOneTimeKeys(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    for (const table of ['one_time_keys', 'fallback_keys']) await deleteFrom(tx, table, userId, deviceIds)
    for (const deviceId of deviceIds) this.#counts.invalidate(tx, keyOf({ userId, deviceId }))
  }

  /** Deletes all keys of these devices. */
  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    await deleteFrom(tx, 'device_keys', userId, deviceIds)
    await this.deleteOneTimeKeys(tx, userId, deviceIds)
  }

  async #writeFallbackKeys(tx: Tx, rows: readonly (KeyRow & { used: number })[]): Promise<void> {
    if (rows.length === 0) return
    await tx.insertMany(
      'fallback_keys',
      rows.map(({ user_id, device_id, algorithm, key_id, key, used }) => ({
        user_id,
        device_id,
        algorithm,
        key_id,
        key,
        used,
      })),
      {
        columns: {
          user_id: 'text',
          device_id: 'text',
          algorithm: 'text',
          key_id: 'text',
          key: 'text',
          used: 'integer',
        },
        conflict: { key: ['user_id', 'device_id', 'algorithm'], update: ['key_id', 'key', 'used'] },
      },
    )
    for (const row of rows) this.#counts.invalidate(tx, keyOf(toKey(row)))
  }
}

async function loadCounts(q: Query, { userId, deviceId }: DeviceAddress): Promise<KeyCounts> {
  const params = [userId, deviceId]
  const counts = await q.all<{ algorithm: string; count: number }>(
    `SELECT algorithm, COUNT(*) AS count FROM one_time_keys
     WHERE user_id = ? AND device_id = ? AND claimed_ts IS NULL GROUP BY algorithm`,
    params,
  )
  const unused = await q.all<{ algorithm: string }>(
    'SELECT algorithm FROM fallback_keys WHERE user_id = ? AND device_id = ? AND used = 0 ORDER BY algorithm',
    params,
  )
  return {
    oneTimeKeys: Object.fromEntries(counts.map(({ algorithm, count }) => [algorithm, count])),
    unusedFallbackTypes: unused.map(({ algorithm }) => algorithm),
  }
}

/** What another transaction is about to claim is passed over, rather than waited for and then refused. */
function claimOnPostgres({ dialect }: Query): string {
  return `WITH picked AS MATERIALIZED (
      SELECT o.* FROM ${dialect.rowsFrom(WANTED)} AS w CROSS JOIN LATERAL (
        SELECT k.user_id, k.device_id, k.algorithm, k.key_id FROM one_time_keys k
        WHERE k.user_id = w.user_id AND k.device_id = w.device_id AND k.algorithm = w.algorithm
          AND k.claimed_ts IS NULL
        ORDER BY k.uploaded_ts, k.key_id LIMIT w.amount FOR UPDATE SKIP LOCKED) AS o)
    UPDATE one_time_keys k SET claimed_ts = ? FROM picked p
    WHERE k.user_id = p.user_id AND k.device_id = p.device_id AND k.algorithm = p.algorithm AND k.key_id = p.key_id
    RETURNING k.user_id, k.device_id, k.algorithm, k.key_id, k.key, k.uploaded_ts`
}

/** There is one writer at a time. */
function claimOnSqlite({ dialect }: Query): string {
  return `UPDATE one_time_keys SET claimed_ts = ? WHERE (user_id, device_id, algorithm, key_id) IN (
      SELECT user_id, device_id, algorithm, key_id FROM (
        SELECT k.user_id, k.device_id, k.algorithm, k.key_id, w.amount, ROW_NUMBER() OVER (
          PARTITION BY k.user_id, k.device_id, k.algorithm ORDER BY k.uploaded_ts, k.key_id) AS place
        FROM ${dialect.rowsFrom(WANTED)} AS w CROSS JOIN one_time_keys k
        ON k.user_id = w.user_id AND k.device_id = w.device_id AND k.algorithm = w.algorithm
          AND k.claimed_ts IS NULL)
      WHERE place <= amount)
    RETURNING user_id, device_id, algorithm, key_id, key, uploaded_ts`
}

async function deleteFrom(
  tx: Tx,
  table: string,
  userId: UserId,
  deviceIds: readonly DeviceId[],
): Promise<void> {
  await tx.execute(`DELETE FROM ${table} WHERE user_id = ? AND ${tx.dialect.anyOf('device_id', 'text')}`, [
    userId,
    tx.dialect.list(deviceIds),
  ])
}

function toKey(row: KeyRow): ClaimedKey {
  return {
    userId: row.user_id as UserId,
    deviceId: row.device_id as DeviceId,
    algorithm: row.algorithm,
    keyId: row.key_id,
    key: JSON.parse(row.key) as string | JsonObject,
  }
}

function keyOf({ userId, deviceId }: DeviceAddress): string {
  return `${userId}\u0000${deviceId}`
}
