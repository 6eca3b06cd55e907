import type { Query } from './database.js'

/** Whether a table is there. */
export async function hasTable(q: Query, name: string): Promise<boolean> {
  const sql =
    q.dialect.name === 'sqlite'
      ? 'SELECT COUNT(*) AS found FROM sqlite_schema WHERE name = ?'
      : 'SELECT COUNT(to_regclass(?)) AS found'
  return (await q.first<{ found: number }>(sql, [name]))?.found === 1
}
