import { performance } from 'node:perf_hooks'
import type { Database, InsertOptions, Tx } from '../src/storage/database.js'
import { openDatabase, type DatabaseConfig } from '../src/storage/open-database.js'
import { silentLogger } from '../src/telemetry/logger.js'
import { createMetrics } from '../src/telemetry/metrics.js'
import { systemClock } from '../src/util/clock.js'
import { createTestDatabase, startPostgres, stopPostgres } from '../test/support/databases.js'

/*
 * Group commit: N events share a transaction of three reads and six inserted rows per event, with bulk statements that
 * are issued without waiting. Events per second, median of several rounds. SQLite with synchronous=NORMAL and FULL;
 * PostgreSQL as MXHS_TEST_POSTGRES_URL says, else a server without fsync.
 *
 *   npx tsx bench/storage.ts
 */

const BATCHES = [1, 10, 50]
const ROUND_MS = 1500
const ROUNDS = 3
const JSON_BODY = JSON.stringify({ type: 'm.room.message', content: { body: 'x'.repeat(700) } })

const TABLES = {
  b_events: { nid: 'integer', event_id: 'text', room_nid: 'integer', stream: 'integer', json: 'text' },
  b_edges: { prev_nid: 'integer', nid: 'integer' },
  b_extremities: { room_nid: 'integer', nid: 'integer' },
  b_txns: { user_id: 'text', txn_id: 'text', nid: 'integer' },
  b_chains: { nid: 'integer', chain: 'integer', seq: 'integer', reach: 'blob' },
  b_receipts: { user_id: 'text', room_nid: 'integer', nid: 'integer' },
} as const satisfies Record<string, InsertOptions['columns']>

async function createTables(db: Database): Promise<void> {
  await db.write('create', (tx) => {
    const blob = tx.dialect.name === 'sqlite' ? 'BLOB' : 'BYTEA'
    for (const [table, columns] of Object.entries(TABLES)) {
      const types = { text: 'TEXT', integer: 'BIGINT', blob }
      const fields = Object.entries(columns).map(([name, type], index) =>
        index === 0 && table !== 'b_extremities' && table !== 'b_edges' && type === 'integer'
          ? `${name} BIGINT PRIMARY KEY`
          : `${name} ${types[type]}`,
      )
      void tx.execute(`CREATE TABLE ${table} (${fields.join(', ')})`)
    }
    void tx.execute('CREATE UNIQUE INDEX b_events_id ON b_events (event_id)')
    void tx.execute('CREATE INDEX b_events_room ON b_events (room_nid, stream)')
    return Promise.resolve()
  })
}

function writeBatch(tx: Tx, nids: readonly number[]): void {
  const { dialect } = tx
  const list = dialect.list(nids)
  void tx.all(`SELECT nid FROM b_events WHERE ${dialect.anyOf('nid', 'integer')}`, [list])
  void tx.all(`SELECT nid FROM b_chains WHERE ${dialect.anyOf('nid', 'integer')}`, [list])
  void tx.all(`SELECT event_id FROM b_events WHERE ${dialect.anyOf('event_id', 'text')}`, [
    dialect.list(nids.map((nid) => `$event-${nid - 1}`)),
  ])
  const rows = {
    b_events: nids.map((nid) => ({
      nid,
      event_id: `$event-${nid}`,
      room_nid: nid % 100,
      stream: nid,
      json: JSON_BODY,
    })),
    b_edges: nids.map((nid) => ({ prev_nid: nid - 1, nid })),
    b_extremities: nids.map((nid) => ({ room_nid: nid % 100, nid })),
    b_txns: nids.map((nid) => ({ user_id: '@alice:example.org', txn_id: `m${nid}`, nid })),
    b_chains: nids.map((nid) => ({ nid, chain: nid % 100, seq: nid, reach: Buffer.from([1, 2, 3, 4]) })),
    b_receipts: nids.map((nid) => ({ user_id: '@alice:example.org', room_nid: nid % 100, nid })),
  }
  for (const [table, columns] of Object.entries(TABLES)) {
    void tx.insertMany(table, rows[table as keyof typeof TABLES], { columns })
  }
}

async function measure(db: Database, size: number, nextNid: () => number): Promise<number> {
  const rates: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now()
    let events = 0
    while (performance.now() - started < ROUND_MS) {
      const nids = Array.from({ length: size }, nextNid)
      await db.write('bench', (tx) => {
        writeBatch(tx, nids)
        return Promise.resolve()
      })
      events += size
    }
    rates.push((events / (performance.now() - started)) * 1000)
  }
  return rates.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)]!
}

async function run(title: string, config: DatabaseConfig): Promise<void> {
  const db = await openDatabase(config, {
    logger: silentLogger(),
    metrics: createMetrics(),
    clock: systemClock,
  })
  try {
    await createTables(db)
    let nid = 0
    const rates: string[] = []
    for (const size of BATCHES) {
      const rate = await measure(db, size, () => ++nid)
      rates.push(`N=${size} ${Math.round(rate)}/s`)
    }
    const reads = await measureReads(db)
    console.log(`${title}: ${rates.join(' · ')} · single read ${Math.round(reads)} µs`)
  } finally {
    await db.close()
  }
}

async function measureReads(db: Database): Promise<number> {
  const count = 3000
  const started = performance.now()
  for (let nid = 1; nid <= count; nid++) {
    await db.reader.first('SELECT event_id FROM b_events WHERE nid = ?', [nid])
  }
  return ((performance.now() - started) / count) * 1000
}

async function main(): Promise<void> {
  for (const synchronous of ['normal', 'full'] as const) {
    const { config, remove } = await createTestDatabase('sqlite')
    await run(`SQLite, synchronous=${synchronous}`, { ...config, synchronous } as DatabaseConfig)
    await remove()
  }
  await startPostgres()
  const { config, remove } = await createTestDatabase('postgres')
  await run('PostgreSQL', config)
  await remove()
  await stopPostgres()
}

await main()
