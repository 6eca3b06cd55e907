import type { Query, Tx } from '../database.js'
import type { EventId, ServerName } from '../../protocol/ids.js'

/** An event from another server that has yet to be judged. */
export interface InboxEvent {
  readonly roomNid: number
  readonly eventId: EventId
  /** The server that has sent it. */
  readonly origin: ServerName
  readonly receivedTs: number
  /** Where it stood in its transaction. */
  readonly place: number
  /** As `Event.toText` gave it. */
  readonly json: string
}

interface Row {
  room_nid: number
  event_id: string
  origin: string
  received_ts: number
  place: number
  json: string
}

/** What other servers have sent, until it has been dealt with. */
export class FederationInboxStore {
  /** Keeps events; those that wait already are left as they are. */
  async insert(tx: Tx, events: readonly InboxEvent[]): Promise<void> {
    if (events.length === 0) return
    await tx.insertMany(
      'federation_inbox',
      events.map(({ roomNid, eventId, origin, receivedTs, place, json }) => ({
        room_nid: roomNid,
        event_id: eventId,
        origin,
        received_ts: receivedTs,
        place,
        json,
      })),
      {
        columns: {
          room_nid: 'integer',
          event_id: 'text',
          origin: 'text',
          received_ts: 'integer',
          place: 'integer',
          json: 'text',
        },
        conflict: 'ignore',
      },
    )
  }

  /** How much waits of each server; `chars`: of the events' JSON. Reads all that waits. */
  async countByOrigin(q: Query): Promise<{ origin: ServerName; events: number; chars: number }[]> {
    const rows = await q.all<{ origin: string; events: number; chars: number }>(
      `SELECT origin, COUNT(*) AS events, CAST(SUM(LENGTH(json)) AS BIGINT) AS chars
       FROM federation_inbox GROUP BY origin`,
    )
    return rows.map((row) => ({ ...row, origin: row.origin as ServerName }))
  }

  /** The rooms that events wait for. */
  async listRooms(q: Query): Promise<number[]> {
    const rows = await q.all<{ room_nid: number }>('SELECT DISTINCT room_nid FROM federation_inbox')
    return rows.map((row) => row.room_nid)
  }

  /** The events of a room that came first. By primary key prefix. */
  async listFirst(q: Query, roomNid: number, limit: number): Promise<InboxEvent[]> {
    const rows = await q.all<Row>(
      `SELECT room_nid, event_id, origin, received_ts, place, json FROM federation_inbox
       WHERE room_nid = ? ORDER BY received_ts, place LIMIT ?`,
      [roomNid, limit],
    )
    return rows.map((row) => ({
      roomNid: row.room_nid,
      eventId: row.event_id as EventId,
      origin: row.origin as ServerName,
      receivedTs: row.received_ts,
      place: row.place,
      json: row.json,
    }))
  }

  async delete(tx: Tx, roomNid: number, eventIds: readonly EventId[]): Promise<void> {
    await tx.execute(
      `DELETE FROM federation_inbox WHERE room_nid = ? AND ${tx.dialect.anyOf('event_id', 'text')}`,
      [roomNid, tx.dialect.list(eventIds)],
    )
  }

  /** How a transaction was answered; undefined when it was not. */
  async getAnswer(q: Query, origin: ServerName, txnId: string): Promise<string | undefined> {
    const row = await q.first<{ answer: string }>(
      'SELECT answer FROM federation_transactions WHERE origin = ? AND txn_id = ?',
      [origin, txnId],
    )
    return row?.answer
  }

  async insertAnswer(
    tx: Tx,
    { origin, txnId, receivedTs }: { origin: ServerName; txnId: string; receivedTs: number },
    answer: string,
  ): Promise<void> {
    await tx.execute(
      `INSERT INTO federation_transactions (origin, txn_id, received_ts, answer) VALUES (?, ?, ?, ?)
       ON CONFLICT (origin, txn_id) DO NOTHING`,
      [origin, txnId, receivedTs, answer],
    )
  }

  /** Forgets how old transactions were answered. Index federation_transactions_ts. */
  async deleteAnswersBefore(tx: Tx, ts: number): Promise<void> {
    await tx.execute('DELETE FROM federation_transactions WHERE received_ts < ?', [ts])
  }
}
