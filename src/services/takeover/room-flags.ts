import type { Database, Tx } from '../../storage/database.js'
import { readPages, textOf, type SourceRows } from '../../storage/synapse/rows.js'
import type { SynapseSource } from '../../storage/synapse/source.js'
import { eventNidOf } from './source-events.js'

const PUBLISHED: SourceRows = { table: 'rooms', columns: ['room_id'], where: 't.is_public', key: ['room_id'] }

/** Memberships are forgotten with the event that ended them. */
const FORGOTTEN: SourceRows = {
  table: 'local_current_membership',
  columns: ['room_id', 'user_id'],
  extra: { stream_ordering: 'e.stream_ordering' },
  join: 'JOIN room_memberships m ON m.event_id = t.event_id JOIN events e ON e.event_id = t.event_id',
  where: 'm.forgotten = 1',
  key: ['room_id', 'user_id'],
}

/**
 * What is said of rooms beside their events, and may have changed in rooms that were copied before: which are published,
 * and by whom they were forgotten.
 */
export async function refreshRooms({ db, source }: { db: Database; source: SynapseSource }): Promise<void> {
  await db.write('takeover_published', async (tx) => {
    await tx.execute('UPDATE rooms SET is_public = 0 WHERE is_public = 1')
    for await (const page of readPages(source, PUBLISHED)) {
      const ids = page.map((row) => textOf(row['room_id']) ?? '')
      await tx.execute(`UPDATE rooms SET is_public = 1 WHERE ${tx.dialect.anyOf('room_id', 'text')}`, [
        tx.dialect.list(ids),
      ])
    }
  })
  await db.write('takeover_forgotten', async (tx) => {
    await tx.execute('UPDATE room_members SET forgotten = 0 WHERE forgotten = 1')
    for await (const page of readPages(source, FORGOTTEN)) {
      await forget(
        tx,
        page.map((row) => ({
          user_id: textOf(row['user_id']) ?? '',
          event_nid: eventNidOf(Number(row['stream_ordering'])),
        })),
      )
    }
  })
}

async function forget(tx: Tx, rows: readonly { user_id: string; event_nid: number }[]): Promise<void> {
  const source = tx.dialect.rowsFrom({ user_id: 'text', event_nid: 'integer' })
  await tx.execute(
    `UPDATE room_members SET forgotten = 1 FROM ${source} AS r
     WHERE room_members.user_id = r.user_id AND room_members.event_nid = r.event_nid`,
    [tx.dialect.rows(rows)],
  )
}
