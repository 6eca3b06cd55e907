import type { Query, Tx } from '../database.js'
import { quoteName } from '../sql-text.js'
import type { TableShape } from './table-catalog.js'

/** The numbers that a database has handed out, so that none is handed out again. */
export interface Counters {
  /** The last of each sequence, by its name. */
  readonly sequences: Readonly<Record<string, number>>
  /** The last that a table has given its rows by itself, by the name of the table. */
  readonly identities: Readonly<Record<string, number>>
}

interface CounterRow {
  name: string
  value: number | null
}

export async function readCounters(q: Query): Promise<Counters> {
  const [sequences, identities] =
    q.dialect.name === 'sqlite'
      ? await Promise.all([
          q.all<CounterRow>('SELECT name, value FROM id_counters'),
          q.all<CounterRow>('SELECT name, seq AS value FROM sqlite_sequence'),
        ])
      : await readPostgres(q)
  return { sequences: toRecord(sequences), identities: toRecord(identities) }
}

async function readPostgres(q: Query): Promise<[CounterRow[], CounterRow[]]> {
  const rows = await q.all<CounterRow & { table_name: string | null }>(
    `SELECT c.relname AS name, s.last_value AS value, t.relname AS table_name
     FROM pg_class c
     JOIN pg_sequences s ON s.sequencename = c.relname AND s.schemaname = current_schema()
     LEFT JOIN pg_depend d ON d.objid = c.oid AND d.deptype = 'i'
     LEFT JOIN pg_class t ON t.oid = d.refobjid
     WHERE c.relkind = 'S' AND c.relnamespace = to_regnamespace(quote_ident(current_schema()))`,
  )
  return [
    rows.filter((row) => row.table_name === null),
    rows.flatMap(({ table_name: name, value }) => (name === null ? [] : [{ name, value }])),
  ]
}

/** 0 for those that have handed out nothing. */
function toRecord(rows: readonly CounterRow[]): Record<string, number> {
  return Object.fromEntries(rows.map(({ name, value }) => [name, value ?? 0]))
}

/**
 * Lets a database go on behind these numbers. Those of the other engine that this one has no counterpart of are left
 * out: what takes their place finds the largest number in use by itself.
 */
export async function writeCounters(
  tx: Tx,
  { sequences, identities }: Counters,
  tables: readonly TableShape[],
): Promise<void> {
  if (tx.dialect.name === 'sqlite') {
    const rows = Object.entries(sequences).map(([name, value]) => ({ name, value }))
    const columns = { name: 'text', value: 'integer' } as const
    await tx.insertMany('id_counters', rows, { columns, conflict: { key: ['name'], update: ['value'] } })
    for (const [name, value] of Object.entries(identities)) {
      await tx.execute('DELETE FROM sqlite_sequence WHERE name = ?', [name])
      await tx.execute('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)', [name, value])
    }
    return
  }
  const known = new Set(
    (
      await tx.all<{ name: string }>(
        'SELECT sequencename AS name FROM pg_sequences WHERE schemaname = current_schema()',
      )
    ).map(({ name }) => name),
  )
  for (const [name, value] of Object.entries(sequences)) {
    if (known.has(name) && value > 0)
      await tx.all('SELECT setval(CAST(? AS regclass), ?)', [quoteName(name), value])
  }
  for (const { name, key } of tables) {
    const value = identities[name]
    if (value === undefined || value === 0) continue
    await tx.all('SELECT setval(CAST(pg_get_serial_sequence(?, ?) AS regclass), ?)', [
      quoteName(name),
      key[0]!,
      value,
    ])
  }
}
