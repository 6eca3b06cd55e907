import type { Query, Tx } from '../database.js'
import type { DeviceId, EventId, RoomId, UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { pushTo } from '../../util/group-by.js'
import type { ReceiptType } from './receipts.js'

/** How far an application service has been told of each stream. */
export interface AppservicePositions {
  readonly events: number
  readonly receipts: number
  readonly presence: number
  readonly toDevice: number
  readonly deviceLists: number
}

/** A transaction that has not been taken: sent again as it is. */
export interface PendingTransaction {
  readonly txnId: number
  /** JSON. */
  readonly body: string
  readonly ts: number
}

export interface AppserviceState {
  readonly positions: AppservicePositions
  readonly lastTxnId: number
  readonly pending: PendingTransaction | undefined
  /** Attempts in a row that came to nothing. */
  readonly failures: number
  readonly failingSinceTs: number | undefined
  readonly retryTs: number | undefined
  readonly lastSuccessTs: number | undefined
  readonly lastError: string | undefined
}

export interface DeadLetter {
  readonly appserviceId: string
  readonly txnId: number
  /** JSON. */
  readonly body: string
  readonly error: string
  readonly ts: number
}

/** A receipt with the position of its change. */
export interface StreamReceipt {
  readonly streamId: number
  readonly roomNid: number
  readonly roomId: RoomId
  readonly userId: UserId
  readonly type: ReceiptType
  readonly threadId: string | undefined
  readonly eventId: EventId
  readonly ts: number
}

/** A message for a device of an application service's. */
export interface AppserviceMessage {
  readonly streamId: number
  readonly userId: UserId
  readonly deviceId: DeviceId
  readonly sender: UserId
  readonly type: string
  readonly content: JsonObject
}

/** A room that a service has published. */
interface StateRow {
  positions: string
  last_txn_id: number
  pending_txn_id: number | null
  pending_body: string | null
  pending_ts: number | null
  failures: number
  failing_since_ts: number | null
  retry_ts: number | null
  last_success_ts: number | null
  last_error: string | null
}

/** What application services are told, and what is kept of them. */
export class AppservicesStore {
  /** Registrations beyond those of the configuration, as JSON. */
  async listRegistrations(q: Query): Promise<JsonObject[]> {
    const rows = await q.all<{ registration: string }>(
      'SELECT registration FROM appservices ORDER BY added_ts, appservice_id',
    )
    return rows.map((row) => parseObject(row.registration))
  }

  async putRegistration(tx: Tx, id: string, registration: JsonObject, ts: number): Promise<void> {
    await tx.execute(
      `INSERT INTO appservices (appservice_id, registration, added_ts) VALUES (?, ?, ?)
       ON CONFLICT (appservice_id) DO UPDATE SET registration = excluded.registration`,
      [id, JSON.stringify(registration), ts],
    )
  }

  /** Whether there was one. */
  async deleteRegistration(tx: Tx, id: string): Promise<boolean> {
    return (await tx.execute('DELETE FROM appservices WHERE appservice_id = ?', [id])) > 0
  }

  async getState(q: Query, id: string): Promise<AppserviceState | undefined> {
    const row = await q.first<StateRow>('SELECT * FROM appservice_state WHERE appservice_id = ?', [id])
    return row && toState(row)
  }

  /** Everything but whether the service has registered its own user. */
  async saveState(tx: Tx, id: string, state: AppserviceState): Promise<void> {
    await tx.execute(
      `INSERT INTO appservice_state (appservice_id, positions, last_txn_id, pending_txn_id, pending_body, pending_ts,
         failures, failing_since_ts, retry_ts, last_success_ts, last_error)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (appservice_id) DO UPDATE SET positions = excluded.positions,
         last_txn_id = excluded.last_txn_id, pending_txn_id = excluded.pending_txn_id,
         pending_body = excluded.pending_body, pending_ts = excluded.pending_ts, failures = excluded.failures,
         failing_since_ts = excluded.failing_since_ts, retry_ts = excluded.retry_ts,
         last_success_ts = excluded.last_success_ts, last_error = excluded.last_error`,
      [
        id,
        JSON.stringify(state.positions),
        state.lastTxnId,
        state.pending?.txnId ?? null,
        state.pending?.body ?? null,
        state.pending?.ts ?? null,
        state.failures,
        state.failingSinceTs ?? null,
        state.retryTs ?? null,
        state.lastSuccessTs ?? null,
        state.lastError ?? null,
      ],
    )
  }

  /** Writes down that a service has registered its own user; false when it had before. */
  async markSenderRegistered(tx: Tx, id: string): Promise<boolean> {
    const changed = await tx.execute(
      `UPDATE appservice_state SET sender_registered = 1 WHERE appservice_id = ? AND sender_registered = 0`,
      [id],
    )
    return changed > 0
  }

  /** Puts a transaction aside; of each service the last `keep` are kept. */
  async addDeadLetter(tx: Tx, letter: DeadLetter, keep: number): Promise<void> {
    await tx.execute(
      `INSERT INTO appservice_dead_letters (appservice_id, txn_id, body, error, ts) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (appservice_id, txn_id) DO NOTHING`,
      [letter.appserviceId, letter.txnId, letter.body, letter.error, letter.ts],
    )
    await tx.execute(
      `DELETE FROM appservice_dead_letters WHERE appservice_id = ? AND txn_id NOT IN (
         SELECT txn_id FROM appservice_dead_letters WHERE appservice_id = ? ORDER BY txn_id DESC LIMIT ?)`,
      [letter.appserviceId, letter.appserviceId, keep],
    )
  }

  /** Those of one service, or of all, the oldest first. */
  async listDeadLetters(q: Query, id?: string): Promise<DeadLetter[]> {
    const rows = await q.all<{
      appservice_id: string
      txn_id: number
      body: string
      error: string
      ts: number
    }>(
      `SELECT * FROM appservice_dead_letters ${id === undefined ? '' : 'WHERE appservice_id = ?'}
       ORDER BY appservice_id, txn_id`,
      id === undefined ? [] : [id],
    )
    return rows.map((row) => ({
      appserviceId: row.appservice_id,
      txnId: row.txn_id,
      body: row.body,
      error: row.error,
      ts: row.ts,
    }))
  }

  /** Receipts that changed in `(after, upTo]`, in order, at most `limit`. Index receipts_stream. */
  async listReceipts(
    q: Query,
    { after, upTo, limit }: { after: number; upTo: number; limit: number },
  ): Promise<StreamReceipt[]> {
    const rows = await q.all<{
      stream_id: number
      room_nid: number
      room_id: string
      user_id: string
      receipt_type: string
      thread_id: string
      event_id: string
      ts: number
    }>(
      `SELECT t.stream_id, t.room_nid, r.room_id, t.user_id, t.receipt_type, t.thread_id, t.event_id, t.ts
       FROM receipts t JOIN rooms r ON r.room_nid = t.room_nid
       WHERE t.stream_id > ? AND t.stream_id <= ? ORDER BY t.stream_id LIMIT ?`,
      [after, upTo, limit],
    )
    return rows.map((row) => ({
      streamId: row.stream_id,
      roomNid: row.room_nid,
      roomId: row.room_id as RoomId,
      userId: row.user_id as UserId,
      type: row.receipt_type as ReceiptType,
      threadId: row.thread_id === '' ? undefined : row.thread_id,
      eventId: row.event_id as EventId,
      ts: row.ts,
    }))
  }

  /** Whose devices have messages in `(after, upTo]`. Index device_inbox_stream. */
  async listRecipients(q: Query, { after, upTo }: { after: number; upTo: number }): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      'SELECT DISTINCT user_id FROM device_inbox WHERE stream_id > ? AND stream_id <= ?',
      [after, upTo],
    )
    return rows.map((row) => row.user_id as UserId)
  }

  /** Messages for devices of these users in `(after, upTo]`. Index device_inbox_stream. */
  async listMessages(
    q: Query,
    userIds: readonly UserId[],
    { after, upTo, limit }: { after: number; upTo: number; limit: number },
  ): Promise<AppserviceMessage[]> {
    if (userIds.length === 0) return []
    const rows = await q.all<{
      stream_id: number
      user_id: string
      device_id: string
      sender: string
      type: string
      content: string
    }>(
      `SELECT i.stream_id, i.user_id, i.device_id, i.sender, i.type, i.content
       FROM device_inbox i
       WHERE i.stream_id > ? AND i.stream_id <= ? AND ${q.dialect.anyOf('i.user_id', 'text')}
       ORDER BY i.stream_id, i.user_id, i.device_id LIMIT ?`,
      [after, upTo, q.dialect.list(userIds), limit],
    )
    return rows.map((row) => ({
      streamId: row.stream_id,
      userId: row.user_id as UserId,
      deviceId: row.device_id as DeviceId,
      sender: row.sender as UserId,
      type: row.type,
      content: parseObject(row.content),
    }))
  }

  /** Those of the users whom a service has registered. By primary key. */
  async listRegistered(q: Query, id: string, userIds: readonly UserId[]): Promise<Set<UserId>> {
    if (userIds.length === 0) return new Set()
    const rows = await q.all<{ user_id: string }>(
      `SELECT user_id FROM users WHERE ${q.dialect.anyOf('user_id', 'text')} AND appservice_id = ?`,
      [q.dialect.list(userIds), id],
    )
    return new Set(rows.map((row) => row.user_id as UserId))
  }

  /** The aliases of rooms on this server. Index room_aliases_room. */
  async listAliases(q: Query, roomNids: readonly number[]): Promise<Map<number, string[]>> {
    const rows = await q.all<{ room_nid: number; alias: string }>(
      `SELECT room_nid, alias FROM room_aliases WHERE ${q.dialect.anyOf('room_nid', 'integer')}`,
      [q.dialect.list(roomNids)],
    )
    const aliases = new Map<number, string[]>()
    for (const row of rows) pushTo(aliases, row.room_nid, row.alias)
    return aliases
  }

  /** The rooms that users are joined to. Index room_members_user. */
  async listJoinedRooms(
    q: Query,
    userIds: readonly UserId[],
  ): Promise<{ userId: UserId; roomId: RoomId; roomNid: number }[]> {
    const rows = await q.all<{ user_id: string; room_id: string; room_nid: number }>(
      `SELECT m.user_id, r.room_id, m.room_nid FROM room_members m JOIN rooms r ON r.room_nid = m.room_nid
       WHERE ${q.dialect.anyOf('m.user_id', 'text')} AND m.membership = 'join'`,
      [q.dialect.list(userIds)],
    )
    return rows.map((row) => ({
      userId: row.user_id as UserId,
      roomId: row.room_id as RoomId,
      roomNid: row.room_nid,
    }))
  }
}

function toState(row: StateRow): AppserviceState {
  const pending =
    row.pending_txn_id === null
      ? undefined
      : { txnId: row.pending_txn_id, body: row.pending_body ?? '{}', ts: row.pending_ts ?? 0 }
  const positions = parseObject(row.positions)
  const at = (name: string): number => Number(positions[name] ?? 0)
  return {
    positions: {
      events: at('events'),
      receipts: at('receipts'),
      presence: at('presence'),
      toDevice: at('toDevice'),
      deviceLists: at('deviceLists'),
    },
    lastTxnId: row.last_txn_id,
    pending,
    failures: row.failures,
    failingSinceTs: row.failing_since_ts ?? undefined,
    retryTs: row.retry_ts ?? undefined,
    lastSuccessTs: row.last_success_ts ?? undefined,
    lastError: row.last_error ?? undefined,
  }
}

function parseObject(text: string): JsonObject {
  const value: unknown = JSON.parse(text)
  return isJsonObject(value) ? value : {}
}
