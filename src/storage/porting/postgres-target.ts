import { pipeline } from 'node:stream/promises'
import type { Client } from 'pg'
import type * as copyStreams from 'pg-copy-streams'
import { postgresDialect } from '../dialect-postgres.js'
import { PostgresConnection, PostgresStatements } from '../postgres-connection.js'
import { quoteName } from '../sql-text.js'
import type { SqlTx } from '../sql-query.js'
import { searchVectorOf } from '../stores/event-search.js'
import type { IndexDefinition, NumberSources, PortTarget, TargetTx } from './port-side.js'
import { PostgresSide, connect, type PostgresPlace } from './postgres-side.js'
import { copyOptions } from './row-text.js'
import { SEARCH_INDEX } from './searched-words.js'
import { isOwnTable, type PortedType, type TableShape } from './table-shape.js'
import { TargetTransactions, type TargetMethods } from './target-transactions.js'

const SESSION = [
  // What was written last may be lost with the server's power, and is then carried once more; the end is on the disk.
  'SET synchronous_commit = off',
  "SET maintenance_work_mem = '256MB'",
]

const KEY_TYPES: Readonly<Record<PortedType, string>> = { text: 'text', integer: 'bigint', bytes: 'bytea' }

type CopyFrom = typeof copyStreams.from

/** A PostgreSQL database that is filled. */
export class PostgresTarget extends PostgresSide implements PortTarget {
  readonly bulkForm = 'text'
  readonly #writer: Client
  readonly #transactions: TargetTransactions

  private constructor(
    place: PostgresPlace,
    { reader, writer, from }: { reader: Client; writer: Client; from: CopyFrom },
  ) {
    super(reader, place)
    this.#writer = writer
    this.#transactions = new TargetTransactions(new PostgresConnection(writer, new PostgresStatements()), {
      dialect: postgresDialect,
      methods: (tx) => tableMethods(tx, { writer, from }),
    })
  }

  /** Connects to a database whose schema is there already. */
  static async open(place: PostgresPlace): Promise<PostgresTarget> {
    const { from } = (await import('pg-copy-streams')).default
    const writer = await connect(place)
    const target = new PostgresTarget(place, { writer, reader: await connect(place), from })
    for (const sql of SESSION) await writer.query(sql)
    return target
  }

  transaction<T>(name: string, work: (tx: TargetTx) => Promise<T>): Promise<T> {
    return this.#transactions.run(name, work)
  }

  async indexes(): Promise<readonly IndexDefinition[]> {
    const rows = await this.all<IndexDefinition>(
      `SELECT i.relname AS name, t.relname AS table,
         CASE WHEN c.oid IS NULL THEN format('DROP INDEX %I', i.relname)
           ELSE format('ALTER TABLE %I DROP CONSTRAINT %I', t.relname, c.conname) END AS drop,
         CASE WHEN c.oid IS NULL THEN pg_get_indexdef(i.oid)
           ELSE format('ALTER TABLE %I ADD CONSTRAINT %I %s', t.relname, c.conname, pg_get_constraintdef(c.oid))
         END AS create
       FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
         LEFT JOIN pg_constraint c ON c.conindid = i.oid AND c.contype = 'u'
       WHERE t.relnamespace = current_schema()::regnamespace AND NOT x.indisprimary ORDER BY 1`,
    )
    return rows.filter(({ table }) => !isOwnTable(table))
  }

  async setNumbers(tx: TargetTx, { sequences, identities }: NumberSources): Promise<void> {
    const own = await this.numbers()
    // A sequence that has given nothing yet stands before its first number.
    const set = (sequence: string): string =>
      `SELECT setval(${sequence}, GREATEST(CAST(? AS bigint), 1), CAST(? AS bigint) > 0)`
    for (const name of Object.keys(own.sequences)) {
      const value = sequences[name]
      if (value !== undefined) await tx.all(set('CAST(? AS regclass)'), [quoteName(name), value, value])
    }
    for (const [table, value] of Object.entries(identities)) {
      const sequence = `pg_get_serial_sequence(?, (SELECT a.attname FROM pg_attribute a
        WHERE a.attrelid = CAST(? AS regclass) AND a.attidentity <> ''))`
      await tx.all(set(sequence), [quoteName(table), quoteName(table), value, value])
    }
  }

  async settle(isChanged: boolean): Promise<void> {
    if (isChanged) await this.#writer.query('ANALYZE')
    // A commit that waits for the disk has all before it there as well.
    await this.#writer.query('SET synchronous_commit = on')
    await this.#writer.query('BEGIN; UPDATE port_state SET one = one; COMMIT')
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#writer.end()
  }
}

/** The full-text index as a table of rows. */
const WORDS: TableShape = {
  name: SEARCH_INDEX,
  columns: [
    { name: 'event_nid', type: 'integer' },
    { name: 'words', type: 'text' },
  ],
  key: [],
}

function tableMethods(tx: SqlTx, { writer, from }: { writer: Client; from: CopyFrom }): TargetMethods {
  const copy = async (table: TableShape, data: Buffer): Promise<void> => {
    if (data.length === 0) return
    // The transaction begins with its first statement, and copying is none of its own.
    await tx.all('SELECT 1')
    const columns = table.columns.map(({ name }) => quoteName(name)).join(', ')
    const sql = `COPY ${quoteName(table.name)} (${columns}) FROM STDIN ${copyOptions(table, 'FROM')}`
    await pipeline([data], writer.query(from(sql)))
  }
  return {
    async insertRows(table, data, form) {
      if (form !== 'text') throw new Error('PostgreSQL takes rows as text')
      await copy(table, data)
    },
    async insertWords(events) {
      const rows = events.map((event) => `${event.eventNid}\x02${searchVectorOf(event)}\n`)
      await copy(WORDS, Buffer.from(rows.join('')))
    },
    async deleteRows(table, keys) {
      if (keys.length === 0) return
      const lists = table.key.map(({ type }) => `CAST(? AS ${KEY_TYPES[type]}[])`)
      const matches = table.key.map(({ name }, index) => `t.${quoteName(name)} = k.k${index}`)
      await tx.execute(
        `DELETE FROM ${quoteName(table.name)} AS t
         USING unnest(${lists.join(', ')}) AS k (${table.key.map((_, index) => `k${index}`).join(', ')})
         WHERE ${matches.join(' AND ')}`,
        table.key.map((_, index) => tx.dialect.list(keys.map((key) => key[index]!.toString()))),
      )
    },
  }
}
