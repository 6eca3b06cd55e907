import type { Query, Tx } from '../database.js'

/** How far those who follow streams have come, by their names. */
export class StreamCursorsStore {
  async get(q: Query, name: string): Promise<number | undefined> {
    const row = await q.first<{ position: number }>('SELECT position FROM stream_cursors WHERE name = ?', [
      name,
    ])
    return row?.position
  }

  async set(tx: Tx, name: string, position: number): Promise<void> {
    await tx.execute(
      `INSERT INTO stream_cursors (name, position) VALUES (?, ?)
       ON CONFLICT (name) DO UPDATE SET position = excluded.position`,
      [name, position],
    )
  }
}
