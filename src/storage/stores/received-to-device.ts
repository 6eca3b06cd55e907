import type { Tx } from '../database.js'
import type { ServerName } from '../../protocol/ids.js'

/** What another server calls a message to devices. */
export interface ReceivedMessage {
  readonly origin: ServerName
  readonly messageId: string
}

const COLUMNS = { origin: 'text', message_id: 'text', received_ts: 'integer' } as const

/** Which messages to devices other servers have delivered already. */
export class ReceivedToDeviceStore {
  /** Remembers messages; gives those that have not come before. By primary key. */
  async insert(
    tx: Tx,
    messages: readonly ReceivedMessage[],
    receivedTs: number,
  ): Promise<(message: ReceivedMessage) => boolean> {
    const rows = messages.map(({ origin, messageId }) => ({
      origin,
      message_id: messageId,
      received_ts: receivedTs,
    }))
    const inserted = await tx.all<{ origin: string; message_id: string }>(
      `INSERT INTO received_to_device (origin, message_id, received_ts)
       SELECT r.origin, r.message_id, r.received_ts FROM ${tx.dialect.rowsFrom(COLUMNS)} AS r WHERE true
       ON CONFLICT DO NOTHING RETURNING origin, message_id`,
      [tx.dialect.rows(rows)],
    )
    const fresh = new Set(inserted.map((row) => keyOf(row.origin, row.message_id)))
    return ({ origin, messageId }) => fresh.has(keyOf(origin, messageId))
  }

  /** Forgets messages that came before. Index received_to_device_ts. */
  async deleteOld(tx: Tx, beforeTs: number): Promise<void> {
    await tx.execute('DELETE FROM received_to_device WHERE received_ts < ?', [beforeTs])
  }
}

function keyOf(origin: string, messageId: string): string {
  return `${origin}\u0000${messageId}`
}
