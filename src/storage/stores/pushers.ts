import type { Database, Query, Tx } from '../database.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { PusherHolders } from './pusher-holders.js'

export type PusherKind = 'http' | 'email'

/** What identifies a pusher. */
export interface PusherKey {
  readonly userId: UserId
  readonly appId: string
  readonly pushkey: string
}

/** A pusher as its user has set it. */
export interface PusherSettings extends PusherKey {
  readonly kind: PusherKind
  readonly appDisplayName: string
  readonly deviceDisplayName: string
  readonly profileTag: string | undefined
  readonly lang: string
  readonly data: JsonObject
  readonly isEnabled: boolean
  /** Of the session that made it. */
  readonly deviceId: DeviceId | undefined
  readonly tokenId: number | undefined
  /** When the key was first given, in milliseconds. */
  readonly pushkeyTs: number
}

/** How far a pusher has come. */
export interface PusherProgress {
  /** Of the events stream: what is at or below it has been dealt with. */
  readonly position: number
  /** The last count that it was told. */
  readonly badge: number | undefined
  /** Attempts in a row that came to nothing. */
  readonly failures: number
  readonly failingSinceTs: number | undefined
  /** When it is tried again; undefined while nothing fails. */
  readonly retryTs: number | undefined
  readonly lastSuccessTs: number | undefined
}

export interface PusherRecord extends PusherSettings, PusherProgress {
  readonly pusherId: number
}

export interface Throttle {
  readonly sentTs: number
  readonly waitMs: number
}

interface Row {
  pusher_id: number
  user_id: string
  app_id: string
  pushkey: string
  kind: string
  app_display_name: string
  device_display_name: string
  profile_tag: string | null
  lang: string
  data: string
  is_enabled: number
  device_id: string | null
  token_id: number | null
  pushkey_ts: number
  position: number
  badge: number | null
  failures: number
  failing_since_ts: number | null
  retry_ts: number | null
  last_success_ts: number | null
}

/** Where users want to be told of events while they are not looking. */
export class PushersStore {
  /** Who may have one that is enabled: complete once `loadHolders` has resolved. */
  readonly holders = new PusherHolders()

  /** Reads who has a pusher. One pass over the table. */
  async loadHolders(q: Query): Promise<void> {
    const rows = await q.all<{ user_id: string }>('SELECT DISTINCT user_id FROM pushers WHERE is_enabled = 1')
    this.holders.load(rows.map((row) => row.user_id as UserId))
  }

  /** In the order in which they were made. Index pushers_key. */
  async listForUser(q: Query, userId: UserId): Promise<PusherRecord[]> {
    const rows = await q.all<Row>('SELECT * FROM pushers WHERE user_id = ? ORDER BY pusher_id', [userId])
    return rows.map(toRecord)
  }

  /**
   * Those of users, as they are now. Who turns out to have none that is enabled is no holder any more. Index
   * pushers_key.
   */
  async listOfHolders(
    { reader }: Pick<Database, 'reader'>,
    userIds: readonly UserId[],
  ): Promise<PusherRecord[]> {
    const mark = this.holders.mark()
    const rows = await reader.all<Row>(
      `SELECT * FROM pushers WHERE ${reader.dialect.anyOf('user_id', 'text')} ORDER BY pusher_id`,
      [reader.dialect.list(userIds)],
    )
    const holding = new Set(rows.filter((row) => row.is_enabled === 1).map((row) => row.user_id))
    this.holders.drop(
      userIds.filter((userId) => !holding.has(userId)),
      mark,
    )
    return rows.map(toRecord)
  }

  /** Those whose time to be tried again has come by `ts`. Index pushers_failing. */
  async listDue(q: Query, ts: number, limit: number): Promise<PusherRecord[]> {
    const rows = await q.all<Row>(
      'SELECT * FROM pushers WHERE retry_ts IS NOT NULL AND retry_ts <= ? ORDER BY retry_ts LIMIT ?',
      [ts, limit],
    )
    return rows.map(toRecord)
  }

  /** When the first of those that failed is to be tried again. Index pushers_failing. */
  async nextRetry(q: Query): Promise<number | undefined> {
    const row = await q.first<{ ts: number | null }>(
      'SELECT MIN(retry_ts) AS ts FROM pushers WHERE retry_ts IS NOT NULL',
    )
    return row?.ts ?? undefined
  }

  async get(q: Query, { userId, appId, pushkey }: PusherKey): Promise<PusherRecord | undefined> {
    const row = await q.first<Row>('SELECT * FROM pushers WHERE user_id = ? AND app_id = ? AND pushkey = ?', [
      userId,
      appId,
      pushkey,
    ])
    return row && toRecord(row)
  }

  /** Makes a pusher or changes its settings; one that is there keeps its progress. */
  async upsert(tx: Tx, pusher: PusherSettings, position: number): Promise<void> {
    this.holders.add(tx, pusher.userId)
    await tx.execute(
      `INSERT INTO pushers (user_id, app_id, pushkey, kind, app_display_name, device_display_name, profile_tag, lang,
         data, is_enabled, device_id, token_id, pushkey_ts, position)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (user_id, app_id, pushkey) DO UPDATE SET kind = excluded.kind,
         app_display_name = excluded.app_display_name, device_display_name = excluded.device_display_name,
         profile_tag = excluded.profile_tag, lang = excluded.lang, data = excluded.data,
         is_enabled = excluded.is_enabled, device_id = excluded.device_id, token_id = excluded.token_id,
         failures = 0, failing_since_ts = NULL, retry_ts = NULL`,
      [
        pusher.userId,
        pusher.appId,
        pusher.pushkey,
        pusher.kind,
        pusher.appDisplayName,
        pusher.deviceDisplayName,
        pusher.profileTag ?? null,
        pusher.lang,
        JSON.stringify(pusher.data),
        pusher.isEnabled ? 1 : 0,
        pusher.deviceId ?? null,
        pusher.tokenId ?? null,
        pusher.pushkeyTs,
        position,
      ],
    )
  }

  /** Writes down how far pushers have come; those that are gone are passed over. */
  async saveProgress(
    tx: Tx,
    pushers: readonly (PusherProgress & { readonly pusherId: number })[],
  ): Promise<void> {
    const source = tx.dialect.rowsFrom({
      pusher_id: 'integer',
      position: 'integer',
      badge: 'integer',
      failures: 'integer',
      failing_since_ts: 'integer',
      retry_ts: 'integer',
      last_success_ts: 'integer',
    })
    const rows = pushers.map((pusher) => ({
      pusher_id: pusher.pusherId,
      position: pusher.position,
      badge: pusher.badge ?? null,
      failures: pusher.failures,
      failing_since_ts: pusher.failingSinceTs ?? null,
      retry_ts: pusher.retryTs ?? null,
      last_success_ts: pusher.lastSuccessTs ?? null,
    }))
    await tx.execute(
      `UPDATE pushers SET position = r.position, badge = r.badge, failures = r.failures,
         failing_since_ts = r.failing_since_ts, retry_ts = r.retry_ts, last_success_ts = r.last_success_ts
       FROM ${source} AS r WHERE pushers.pusher_id = r.pusher_id`,
      [tx.dialect.rows(rows)],
    )
  }

  /** Whether there was such a pusher. */
  async delete(tx: Tx, { userId, appId, pushkey }: PusherKey): Promise<boolean> {
    const deleted = await tx.execute('DELETE FROM pushers WHERE user_id = ? AND app_id = ? AND pushkey = ?', [
      userId,
      appId,
      pushkey,
    ])
    return deleted > 0
  }

  /** Deletes those of everybody else with this key: the device has changed hands. Index pushers_pushkey. */
  async deleteOfOthers(tx: Tx, { userId, appId, pushkey }: PusherKey): Promise<void> {
    await tx.execute('DELETE FROM pushers WHERE pushkey = ? AND app_id = ? AND user_id <> ?', [
      pushkey,
      appId,
      userId,
    ])
  }

  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    await tx.execute(`DELETE FROM pushers WHERE user_id = ? AND ${tx.dialect.anyOf('device_id', 'text')}`, [
      userId,
      tx.dialect.list(deviceIds),
    ])
  }

  /** Those that send mail to an address, in lower case. */
  async deleteForAddress(tx: Tx, userId: UserId, address: string): Promise<void> {
    await tx.execute(`DELETE FROM pushers WHERE user_id = ? AND kind = 'email' AND LOWER(pushkey) = ?`, [
      userId,
      address,
    ])
  }

  /** The same for several addresses, each with who was notified there; addresses are in lower case. */
  async deleteForAddresses(
    tx: Tx,
    pushers: readonly { readonly userId: UserId; readonly address: string }[],
  ): Promise<void> {
    if (pushers.length === 0) return
    const { dialect } = tx
    const userIds = [...new Set(pushers.map(({ userId }) => userId))]
    const source = dialect.rowsFrom({ user_id: 'text', address: 'text' })
    await tx.execute(
      `DELETE FROM pushers WHERE ${dialect.anyOf('user_id', 'text')} AND kind = 'email' AND EXISTS
       (SELECT 1 FROM ${source} AS r WHERE r.user_id = pushers.user_id AND r.address = LOWER(pushers.pushkey))`,
      [
        dialect.list(userIds),
        dialect.rows(pushers.map(({ userId, address }) => ({ user_id: userId, address }))),
      ],
    )
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM pushers WHERE user_id = ?', [userId])
  }

  /** When mails about rooms were last sent, by room. */
  async getThrottles(q: Query, pusherId: number): Promise<Map<number, Throttle>> {
    const rows = await q.all<{ room_nid: number; sent_ts: number; wait_ms: number }>(
      'SELECT room_nid, sent_ts, wait_ms FROM pusher_throttles WHERE pusher_id = ?',
      [pusherId],
    )
    return new Map(rows.map((row) => [row.room_nid, { sentTs: row.sent_ts, waitMs: row.wait_ms }]))
  }

  async setThrottles(tx: Tx, pusherId: number, throttles: ReadonlyMap<number, Throttle>): Promise<void> {
    await tx.insertMany(
      'pusher_throttles',
      [...throttles].map(([roomNid, { sentTs, waitMs }]) => ({
        pusher_id: pusherId,
        room_nid: roomNid,
        sent_ts: sentTs,
        wait_ms: waitMs,
      })),
      {
        columns: { pusher_id: 'integer', room_nid: 'integer', sent_ts: 'integer', wait_ms: 'integer' },
        conflict: { key: ['pusher_id', 'room_nid'], update: ['sent_ts', 'wait_ms'] },
      },
    )
  }

  /** Deletes throttles of pushers that are gone. */
  async deleteOrphanedThrottles(tx: Tx): Promise<void> {
    await tx.execute(
      'DELETE FROM pusher_throttles WHERE NOT EXISTS (SELECT 1 FROM pushers p WHERE p.pusher_id = pusher_throttles.pusher_id)',
    )
  }
}

function toRecord(row: Row): PusherRecord {
  const data: unknown = JSON.parse(row.data)
  return {
    pusherId: row.pusher_id,
    userId: row.user_id as UserId,
    appId: row.app_id,
    pushkey: row.pushkey,
    kind: row.kind as PusherKind,
    appDisplayName: row.app_display_name,
    deviceDisplayName: row.device_display_name,
    profileTag: row.profile_tag ?? undefined,
    lang: row.lang,
    data: isJsonObject(data) ? data : {},
    isEnabled: row.is_enabled === 1,
    deviceId: (row.device_id ?? undefined) as DeviceId | undefined,
    tokenId: row.token_id ?? undefined,
    pushkeyTs: row.pushkey_ts,
    position: row.position,
    badge: row.badge ?? undefined,
    failures: row.failures,
    failingSinceTs: row.failing_since_ts ?? undefined,
    retryTs: row.retry_ts ?? undefined,
    lastSuccessTs: row.last_success_ts ?? undefined,
  }
}
