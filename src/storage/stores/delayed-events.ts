import type { Query, Tx } from '../database.js'
import type { DeviceId, RoomId, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/** An event that is to be sent later. */
export interface DelayedEvent {
  readonly delayId: string
  readonly userId: UserId
  readonly deviceId: DeviceId | undefined
  readonly roomId: RoomId
  readonly type: string
  /** Undefined for what is no state. */
  readonly stateKey: string | undefined
  readonly content: JsonObject
  /** When it is said to have been sent; undefined: when it is. */
  readonly ts: number | undefined
  /** For how long everybody in the room is told of it; undefined: it is an event like others. */
  readonly stickyMs: number | undefined
  readonly delayMs: number
  /** When the delay began, or began again. */
  readonly runningSince: number
}

interface Row {
  delay_id: string
  user_id: string
  device_id: string | null
  room_id: string
  type: string
  state_key: string | null
  content: string
  origin_server_ts: number | null
  sticky_ms: number | null
  delay_ms: number
  running_since: number
}

const COLUMNS = `d.delay_id, d.user_id, d.device_id, r.room_id, d.type, d.state_key, d.content, d.origin_server_ts,
  d.sticky_ms, d.delay_ms, d.running_since`

/** Somebody else has changed the same piece of state since. */
const overtaken = (table: string): string => `${table}.state_key IS NOT NULL AND EXISTS (
  SELECT 1 FROM current_state_deltas c JOIN events e ON e.event_nid = c.event_nid
  WHERE c.room_nid = ${table}.room_nid AND c.stream_ordering > ${table}.position
    AND c.type = ${table}.type AND c.state_key = ${table}.state_key AND e.sender <> ${table}.user_id)`

const OVERTAKEN = overtaken('delayed_events')

/** Events that are to be sent later. */
export class DelayedEventsStore {
  /** `position`: of the events stream now; what others change after it prevails. */
  async insert(
    tx: Tx,
    event: Omit<DelayedEvent, 'roomId'> & { readonly roomNid: number },
    position: number,
  ): Promise<void> {
    await tx.execute(
      `INSERT INTO delayed_events (delay_id, user_id, device_id, room_nid, type, state_key, content,
         origin_server_ts, sticky_ms, delay_ms, running_since, send_ts, position)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      [
        event.delayId,
        event.userId,
        event.deviceId ?? null,
        event.roomNid,
        event.type,
        event.stateKey ?? null,
        JSON.stringify(event.content),
        event.ts ?? null,
        event.stickyMs ?? null,
        event.delayMs,
        event.runningSince,
        event.runningSince + event.delayMs,
        position,
      ],
    )
  }

  /** How many a user has scheduled, and when the first of them is sent. Index delayed_events_user. */
  async count(q: Query, userId: UserId): Promise<{ count: number; firstTs: number | undefined }> {
    const row = await q.first<{ count: number; first_ts: number | null }>(
      'SELECT COUNT(*) AS count, MIN(send_ts) AS first_ts FROM delayed_events WHERE user_id = ?',
      [userId],
    )
    return { count: row?.count ?? 0, firstTs: row?.first_ts ?? undefined }
  }

  /**
   * What a user has scheduled and is not sent yet, without what others have overtaken; what is sent first at the front.
   * Index delayed_events_user.
   */
  async listForUser(q: Query, userId: UserId): Promise<DelayedEvent[]> {
    return this.#list(q, `d.user_id = ? AND NOT (${overtaken('d')}) ORDER BY d.send_ts, d.delay_id`, [userId])
  }

  /** When the next is to be sent. Index delayed_events_send. */
  async nextSendTs(q: Query): Promise<number | undefined> {
    const row = await q.first<{ next_ts: number | null }>(
      'SELECT MIN(send_ts) AS next_ts FROM delayed_events WHERE is_due = 0',
    )
    return row?.next_ts ?? undefined
  }

  /** Cancels what others have overtaken by changing the same state: one, or of all that is sent until `dueTs`. */
  async deleteOvertaken(tx: Tx, of: { dueTs: number } | { delayId: string }): Promise<void> {
    if ('dueTs' in of)
      await tx.execute(`DELETE FROM delayed_events WHERE send_ts <= ? AND ${OVERTAKEN}`, [of.dueTs])
    else await tx.execute(`DELETE FROM delayed_events WHERE delay_id = ? AND ${OVERTAKEN}`, [of.delayId])
  }

  /** Takes those whose time has come, at most `limit`, the first at the front. */
  async takeDue(tx: Tx, dueTs: number, limit: number): Promise<DelayedEvent[]> {
    const events = await this.#list(
      tx,
      'd.send_ts <= ? AND d.is_due = 0 ORDER BY d.send_ts, d.delay_id LIMIT ?',
      [dueTs, limit],
    )
    await tx.execute(`UPDATE delayed_events SET is_due = 1 WHERE ${tx.dialect.anyOf('delay_id', 'text')}`, [
      tx.dialect.list(events.map(({ delayId }) => delayId)),
    ])
    return events
  }

  /** Takes one before its time; undefined: there is none (any more). */
  async take(tx: Tx, delayId: string): Promise<DelayedEvent | undefined> {
    const [event] = await this.#list(tx, 'd.delay_id = ? AND d.is_due = 0', [delayId])
    if (event !== undefined)
      await tx.execute('UPDATE delayed_events SET is_due = 1 WHERE delay_id = ?', [delayId])
    return event
  }

  /** What was taken and not sent, since the server has stopped: it waits again. */
  async putBack(tx: Tx): Promise<void> {
    await tx.execute('UPDATE delayed_events SET is_due = 0 WHERE is_due = 1')
  }

  /** What was taken waits again, until its time. */
  async keep(tx: Tx, delayId: string): Promise<void> {
    await tx.execute('UPDATE delayed_events SET is_due = 0 WHERE delay_id = ?', [delayId])
  }

  /** Lets the delay begin again; false: there is no such event. */
  async restart(tx: Tx, delayId: string, now: number): Promise<boolean> {
    const changed = await tx.execute(
      `UPDATE delayed_events SET running_since = ?, send_ts = ? + delay_ms WHERE delay_id = ? AND is_due = 0`,
      [now, now, delayId],
    )
    return changed > 0
  }

  /** Cancels one that waits; false: there is no such event. */
  async cancel(tx: Tx, delayId: string): Promise<boolean> {
    return (await tx.execute('DELETE FROM delayed_events WHERE delay_id = ? AND is_due = 0', [delayId])) > 0
  }

  /** What was taken waits again, until then. */
  async postpone(tx: Tx, delayId: string, sendTs: number): Promise<void> {
    await tx.execute('UPDATE delayed_events SET is_due = 0, send_ts = ? WHERE delay_id = ?', [
      sendTs,
      delayId,
    ])
  }

  /** It has been sent, or cannot be. */
  async deleteTaken(tx: Tx, delayId: string): Promise<void> {
    await tx.execute('DELETE FROM delayed_events WHERE delay_id = ? AND is_due = 1', [delayId])
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM delayed_events WHERE user_id = ?', [userId])
  }

  async #list(q: Query, where: string, params: readonly (string | number)[]): Promise<DelayedEvent[]> {
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM delayed_events d JOIN rooms r ON r.room_nid = d.room_nid WHERE ${where}`,
      params,
    )
    return rows.map((row) => ({
      delayId: row.delay_id,
      userId: row.user_id as UserId,
      deviceId: (row.device_id ?? undefined) as DeviceId | undefined,
      roomId: row.room_id as RoomId,
      type: row.type,
      stateKey: row.state_key ?? undefined,
      content: JSON.parse(row.content) as JsonObject,
      ts: row.origin_server_ts ?? undefined,
      stickyMs: row.sticky_ms ?? undefined,
      delayMs: row.delay_ms,
      runningSince: row.running_since,
    }))
  }
}
