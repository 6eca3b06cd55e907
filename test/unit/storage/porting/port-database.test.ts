import { expect } from 'chai'
import type { Row } from '../../../../src/storage/database.js'
import { openDatabase } from '../../../../src/storage/open-database.js'
import type { PortReport } from '../../../../src/storage/porting/port-database.js'
import { inspectTarget } from '../../../../src/storage/porting/port-target.js'
import { takeOverPorted } from '../../../../src/storage/porting/ported-database.js'
import { EventSearchStore } from '../../../../src/storage/stores/event-search.js'
import {
  createTestDatabase,
  quietContext,
  startPostgres,
  type TestDatabase,
} from '../../../support/databases.js'
import { ask, askAll, change, fillOddly, port, portedTables } from '../../../support/porting.js'
import { rejection } from '../../../support/rejection.js'

describe('porting a database', function () {
  this.timeout(60_000)

  let first: TestDatabase
  let postgres: TestDatabase
  let second: TestDatabase

  before(async () => {
    await startPostgres()
    first = await createTestDatabase('sqlite')
    postgres = await createTestDatabase('postgres')
    second = await createTestDatabase('sqlite')
    await fillOddly(first.config, 30)
    await change(
      first.config,
      ...MESSAGES.map(
        ([
          nid,
          body,
          redactedBy,
        ]) => `INSERT INTO events (event_nid, event_id, room_nid, stream_ordering, depth, type,
             sender, origin_server_ts, received_ts, redacted_by, json)
           VALUES (${nid}, '$e${nid}', 7, ${nid}, 1, 'm.room.message', '@a:b.org', ${nid}, 1, ${redactedBy},
             '{"content":{"body":"${body}"}}')`,
      ),
      "INSERT INTO id_counters (name, value) VALUES ('account_data_stream_seq', 4321), ('receipts_stream_seq', 0)",
      "INSERT INTO event_reports (id, received_ts, room_id, event_id, reporter) VALUES (9000, 1, 'r', 'e', 'u')",
      'DELETE FROM event_reports WHERE id = 9000',
    )
  })

  after(async () => {
    for (const database of [first, postgres, second]) await database.remove()
  })

  describe('from SQLite to PostgreSQL and back', () => {
    let there: PortReport
    let back: PortReport

    before(async () => {
      there = await port(first.config, postgres.config)
      back = await port(postgres.config, second.config)
    })

    it('carries every row of every table, and says so', () => {
      for (const report of [there, back]) {
        expect(report).to.deep.include({
          complete: true,
          incompleteBecause: null,
          resumed: false,
          unstorable: [],
        })
        for (const { name, rows, carried } of report.tables) {
          expect(rows, name).to.be.at.least(30)
          expect(carried, name).to.equal(rows)
        }
      }
      expect(checksums(back)).to.deep.equal(checksums(there))
    })

    it('leaves the same rows, with the same types of values', async () => {
      const tables = await portedTables(first.config)
      const statements = tables.map(
        ({ name, key }) =>
          `SELECT * FROM ${name} ORDER BY ${key.map((column) => `"${column.name}"`).join(', ')}`,
      )
      const [before, after] = [
        await askAll(first.config, statements),
        await askAll(second.config, statements),
      ]
      for (const [index, { name }] of tables.entries()) {
        expect(typed(after[index]!), name).to.deep.equal(typed(before[index]!))
      }
    })

    it('knows of every table what to do with it', async () => {
      const all = await ask<{ name: string }>(
        first.config,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND sql NOT LIKE '%VIRTUAL%'",
      )
      const carried = there.tables.map(({ name }) => name)
      const others = all.map(({ name }) => name).filter((name) => !carried.includes(name))
      expect(others.sort()).to.deep.equal([
        'event_search_config',
        'event_search_data',
        'event_search_docsize',
        'event_search_idx',
        'id_counters',
        'schema_migrations',
        'schema_migrations_lock',
        'schema_version',
      ])
    })

    it('has all indexes again', async () => {
      const fresh = await createTestDatabase('postgres')
      const sql = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname"
      const own = (rows: Row[]): Row[] => rows.filter(({ indexdef }) => !String(indexdef).includes(' port_'))
      try {
        expect(own(await ask(postgres.config, sql))).to.deep.equal(await ask(fresh.config, sql))
      } finally {
        await fresh.remove()
      }
      const indexes =
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND name NOT LIKE '%port_%' ORDER BY name"
      expect(await ask(second.config, indexes)).to.deep.equal(await ask(first.config, indexes))
    })

    it('finds by words what the old database would find', async () => {
      for (const { config } of [postgres, second]) {
        expect(await find(config, 'fox')).to.deep.equal([50_002, 50_001])
        expect(await find(config, 'gone')).to.deep.equal([])
      }
    })

    it('goes on with the numbers', async () => {
      const [next] = await ask<{ next: number }>(
        postgres.config,
        "SELECT nextval('account_data_stream_seq') AS next",
      )
      expect(next).to.deep.equal({ next: 4322 })
      const sql =
        "SELECT name, value FROM id_counters WHERE name IN ('account_data_stream_seq', 'receipts_stream_seq')"
      expect(await ask(second.config, `${sql} ORDER BY name`)).to.deep.equal([
        { name: 'account_data_stream_seq', value: 4321 },
        { name: 'receipts_stream_seq', value: 0 },
      ])
      const report = `INSERT INTO event_reports (received_ts, room_id, event_id, reporter) VALUES (1, 'r', 'e', 'u')
        RETURNING id`
      const db = await openDatabase(postgres.config, quietContext())
      const [row] = await db.write('report', (tx) => tx.all<{ id: number }>(report))
      await db.close()
      expect(row!.id).to.equal(9001)
      await change(postgres.config, 'DELETE FROM event_reports WHERE id = 9001')
      expect(
        await ask(second.config, "SELECT seq FROM sqlite_sequence WHERE name = 'event_reports'"),
      ).to.deep.equal([{ seq: 9000 }])
    })

    it('takes over only what has changed when it is done again, deletions included', async () => {
      await change(
        first.config,
        'DELETE FROM access_tokens WHERE id = 1021',
        "UPDATE access_tokens SET token_hash = 'x' || token_hash WHERE id = 1035",
        `UPDATE events SET redacted_by = '$r', json = '{"content":{}}' WHERE event_nid = 50001`,
        `UPDATE events SET json = '{"content":{"body":"a wolf"}}' WHERE event_nid = 50002`,
        "UPDATE id_counters SET value = 4400 WHERE name = 'account_data_stream_seq'",
      )
      const [a, b] = await ask<{ id: number; token_hash: string }>(
        first.config,
        'SELECT id, token_hash FROM access_tokens ORDER BY id LIMIT 2',
      )
      // What is unique moves from a row to one before it, and to one behind it.
      await change(
        first.config,
        `UPDATE access_tokens SET token_hash = 'between' WHERE id = ${a!.id}`,
        `UPDATE access_tokens SET token_hash = '${a!.token_hash.replaceAll("'", "''")}' WHERE id = ${b!.id}`,
        `UPDATE access_tokens SET token_hash = '${b!.token_hash.replaceAll("'", "''")}' WHERE id = ${a!.id}`,
      )
      const report = await port(first.config, postgres.config)
      expect(report).to.deep.include({ complete: true, resumed: true })
      const carried = report.tables
        .filter((table) => table.carried > 0)
        .map((table) => [table.name, table.carried])
      expect(carried).to.deep.equal([
        ['access_tokens', 4],
        ['events', 2],
      ])
      expect(await find(postgres.config, 'fox')).to.deep.equal([])
      expect(await find(postgres.config, 'wolf')).to.deep.equal([50_002])
      expect(
        await ask(postgres.config, 'SELECT last_value AS last FROM account_data_stream_seq'),
      ).to.deep.equal([{ last: 4400 }])
    })

    it('belongs to the server that begins with it, and is no target any more', async () => {
      const db = await openDatabase(postgres.config, quietContext())
      await takeOverPorted(db)
      await takeOverPorted(db)
      await db.close()
      const error = (await rejection(port(first.config, postgres.config))) as Error
      expect(error).to.have.property('name', 'PortRefusal')
      expect(error.message).to.match(/^The target holds data already \(access_tokens, .* and \d+ more\)/)
    })
  })

  it('goes on where the schema was being made', async () => {
    const target = await createTestDatabase('sqlite')
    await target.remove()
    await change(
      target.config,
      'CREATE TABLE schema_migrations (id INTEGER PRIMARY KEY, name TEXT)',
      'CREATE TABLE schema_migrations_lock (id INTEGER PRIMARY KEY, is_locked INTEGER)',
    )
    expect(await inspectTarget(target.config, ['0000-streams'], quietContext())).to.equal('new')
    await change(target.config, 'CREATE TABLE mine (id INTEGER PRIMARY KEY)')
    const error = (await rejection(inspectTarget(target.config, ['0000-streams'], quietContext()))) as Error
    expect(error.message).to.equal(
      'The target holds tables of something else (mine): give it a database of its own',
    )
    await target.remove()
  })

  function checksums({ tables }: PortReport): [string, string][] {
    return tables.map(({ name, checksum }) => [name, checksum])
  }

  /** Numbers that are not exact any more are still the same. */
  function typed(rows: readonly Row[]): unknown[] {
    return rows.map((row) =>
      Object.entries(row).map(([name, value]) => [
        name,
        Buffer.isBuffer(value) ? value.toString('hex') : value,
      ]),
    )
  }

  async function find(config: TestDatabase['config'], word: string): Promise<number[]> {
    const db = await openDatabase(config, quietContext())
    try {
      const query = { phrases: [[word]], roomNids: [7], types: ['m.room.message'] }
      const order = { by: 'recency', before: undefined } as const
      const hits = await new EventSearchStore().find(db.reader, query, order, 10)
      return hits.map(({ eventNid }) => eventNid)
    } finally {
      await db.close()
    }
  }
})

/** Number, text, and by what it was redacted, as SQL. */
const MESSAGES = [
  [50_001, 'A quick brown fox', 'NULL'],
  [50_002, 'Another FOX', 'NULL'],
  [50_003, 'A fox that is gone', "'$r'"],
] as const
