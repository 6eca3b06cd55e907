import type { Query, Tx } from '../database.js'

/** Up to where streams have been handed on to other servers. */
export class FederationPositionsStore {
  /** Undefined for a stream that has never been followed. By primary key. */
  async get(q: Query, name: string): Promise<number | undefined> {
    const row = await q.first<{ position: number }>(
      'SELECT position FROM federation_positions WHERE name = ?',
      [name],
    )
    return row?.position
  }

  /** Those whose names begin alike. By primary key. */
  async listByPrefix(q: Query, prefix: string): Promise<Map<string, number>> {
    const rows = await q.all<{ name: string; position: number }>(
      'SELECT name, position FROM federation_positions WHERE substr(name, 1, ?) = ?',
      [prefix.length, prefix],
    )
    return new Map(rows.map(({ name, position }) => [name, position]))
  }

  async delete(tx: Tx, name: string): Promise<void> {
    await tx.execute('DELETE FROM federation_positions WHERE name = ?', [name])
  }

  async set(tx: Tx, name: string, position: number): Promise<void> {
    await tx.execute(
      `INSERT INTO federation_positions (name, position) VALUES (?, ?)
       ON CONFLICT (name) DO UPDATE SET position = excluded.position`,
      [name, position],
    )
  }
}
