import { stat } from 'node:fs/promises'
import type { Database, Query } from '../../storage/database.js'
import { migrationStatus } from '../../storage/migrator.js'
import {
  DatabaseHealthStore,
  type PostgresHealth,
  type SqliteHealth,
} from '../../storage/stores/database-health.js'
import { formatBytes } from '../format-bytes.js'
import { describeDatabase } from '../with-database.js'
import type { DoctorCheck, DoctorContext } from './doctor-check.js'
import { failure, info, ok, warning, type Finding } from './finding.js'

const MIB = 1024 ** 2
const DAY_MS = 24 * 60 * 60_000
/** Larger files take too long to read as a whole. */
const MAX_CHECKED_BYTES = 1024 * MIB
const MAX_WAL_BYTES = 1024 * MIB
const MAX_FREE_BYTES = 256 * MIB
/** Below, nothing is lost by dead rows. */
const MIN_BLOATED_BYTES = 100 * MIB
const MIN_POSTGRES = 140_000
/** PostgreSQL warns at about 40 million transactions before the end. */
const MAX_TRANSACTION_AGE = 1_500_000_000

/** The database as such: version, schema, settings, size and damage. */
export const checkDatabase: DoctorCheck = {
  name: 'database',
  summary: 'version, schema, settings, size, indexes and bloat of the database',
  usesNetwork: false,
  async run(context) {
    const db = await context.database()
    const name = describeDatabase(context.config.database)
    if (db === undefined) {
      return [info(`${name} is empty`, { cure: 'the server makes its tables when it starts' })]
    }
    const schema = await ofSchema(db, name)
    const store = new DatabaseHealthStore()
    return db.dialect.name === 'postgres'
      ? [...schema, ...assessPostgres(await store.readPostgres(db.reader), context)]
      : [...schema, ...(await ofSqlite(context, db.reader))]
  },
}

async function ofSchema(db: Database, name: string): Promise<Finding[]> {
  const { pending } = await migrationStatus(db)
  if (pending.length === 0) return [ok(`${name}: the schema is up to date`)]
  return [
    info(`${name}: ${pending.length} changes of the schema are to be made`, {
      consequence: 'the next start of the server takes longer',
      cure: 'mxhs db migrate',
    }),
  ]
}

async function ofSqlite({ config }: DoctorContext, reader: Query): Promise<Finding[]> {
  const store = new DatabaseHealthStore()
  const health = await store.readSqlite(reader)
  const path = config.database.name === 'sqlite' ? config.database.path : ''
  const wal = await stat(`${path}-wal`).catch(() => undefined)
  const damage = health.bytes > MAX_CHECKED_BYTES ? [] : await store.findDamage(reader)
  return assessSqlite({ ...health, walBytes: wal?.size ?? 0, damage })
}

/** What the state of a file of SQLite comes to. */
export function assessSqlite(
  health: SqliteHealth & { readonly walBytes: number; readonly damage: readonly string[] },
): Finding[] {
  const { version, journalMode, bytes, freeBytes, walBytes, damage } = health
  const findings = [ok(`SQLite ${version}, ${formatBytes(bytes)}`, { version, bytes, freeBytes })]
  if (journalMode !== 'wal' && journalMode !== 'memory') {
    findings.push(
      warning(`journal_mode is ${journalMode}, not wal`, {
        consequence: 'reading waits for writing',
        cure: 'let the file be on a disk of this machine, where the server can set it',
      }),
    )
  }
  if (freeBytes > MAX_FREE_BYTES && freeBytes > bytes / 3) {
    findings.push(
      info(`${formatBytes(freeBytes)} of the file are unused`, {
        consequence: 'the file is larger than it need be; what comes next fills it',
        cure: 'mxhs db compact',
      }),
    )
  }
  if (walBytes > MAX_WAL_BYTES) {
    findings.push(
      warning(`the write-ahead log has ${formatBytes(walBytes)}`, {
        consequence: 'something reads without end, and reading becomes slower',
        cure: 'end other programs that have the database open, or restart the server',
      }),
    )
  }
  if (damage.length === 0) return findings
  return [
    failure(`the file is damaged: ${damage[0] ?? ''}`, {
      consequence: 'some of what it holds is lost, and more may follow',
      cure: 'stop the server and restore a backup: mxhs restore',
      details: { damage: [...damage] },
    }),
    ...findings,
  ]
}

/** What the state of a database of PostgreSQL comes to. */
export function assessPostgres(
  health: PostgresHealth,
  { config, clock }: Pick<DoctorContext, 'config' | 'clock'>,
): Finding[] {
  const { version, bytes, encoding, collation } = health
  const largest = health.tables.slice(0, 3).map(({ table, bytes: size }) => `${table} ${formatBytes(size)}`)
  const details = { version, bytes, encoding, collation }
  const findings = [ok(`PostgreSQL ${version}, ${formatBytes(bytes)} (${largest.join(', ')})`, details)]
  if (encoding !== 'UTF8') {
    findings.push(
      failure(`the encoding is ${encoding}, not UTF8`, {
        consequence: 'many messages cannot be stored',
        cure: `CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, then move everything: mxhs port-db`,
      }),
    )
  }
  if (health.versionNumber < MIN_POSTGRES) {
    findings.push(
      failure(`PostgreSQL ${version} is older than 14`, {
        consequence: 'parts of the server do not work',
        cure: 'pg_upgradecluster, or dump and restore into a newer PostgreSQL',
      }),
    )
  }
  findings.push(
    ...ofLocale(health),
    ...ofIndexes(health),
    ...ofTables(health, clock.now()),
    ...ofSettings(health, config),
  )
  if (health.transactionAge > MAX_TRANSACTION_AGE) {
    findings.push(
      failure(`the oldest row is ${health.transactionAge} transactions old`, {
        consequence: 'PostgreSQL takes no more writes at 2,000,000,000',
        cure: 'VACUUM (FREEZE); and look for transactions that never end in pg_stat_activity',
      }),
    )
  }
  return findings
}

/** An update of the system's locales changes the order of texts, and with it what indexes are made by. */
function ofLocale({ collation, collationVersion }: PostgresHealth): Finding[] {
  if (collationVersion === undefined || collationVersion.made === collationVersion.actual) return []
  const { made, actual } = collationVersion
  return [
    warning(
      `the locale ${collation} has changed from version ${made} to ${actual} since the database was made`,
      {
        consequence: 'indexes of texts may no longer find what is there',
        cure: 'REINDEX DATABASE CONCURRENTLY; then ALTER DATABASE ... REFRESH COLLATION VERSION;',
        details: { collation, made, actual },
      },
    ),
  ]
}

function ofIndexes({ invalidIndexes }: PostgresHealth): Finding[] {
  return invalidIndexes.map((name) =>
    failure(`the index ${name} is invalid`, {
      consequence: 'it is not used: reading is slow',
      cure: `REINDEX INDEX CONCURRENTLY ${name};`,
    }),
  )
}

function ofTables({ tables }: PostgresHealth, now: number): Finding[] {
  const bloated = tables.filter(
    ({ bytes, liveRows, deadRows }) => bytes > MIN_BLOATED_BYTES && deadRows > 0.3 * (liveRows + deadRows),
  )
  return bloated.map(({ table, deadRows, liveRows, vacuumedTs }) => {
    const isOld = vacuumedTs === undefined || vacuumedTs < now - DAY_MS
    return warning(
      `${table}: ${deadRows} of ${deadRows + liveRows} rows are dead${isOld ? ', and nothing cleans up' : ''}`,
      {
        consequence: 'the table grows, and reading it becomes slower',
        cure: `VACUUM ANALYZE ${table};`,
      },
    )
  })
}

function ofSettings(
  { settings, connections }: PostgresHealth,
  { database }: DoctorContext['config'],
): Finding[] {
  const findings: Finding[] = []
  for (const name of ['fsync', 'full_page_writes'] as const) {
    if (settings.get(name) !== 'off') continue
    findings.push(
      failure(`${name} is off`, {
        consequence: 'the loss of power can destroy the whole database',
        cure: `ALTER SYSTEM SET ${name} = on; SELECT pg_reload_conf();`,
      }),
    )
  }
  if (settings.get('autovacuum') === 'off') {
    findings.push(
      warning('autovacuum is off', {
        consequence: 'tables only grow, and plans of statements get worse',
        cure: 'ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();',
      }),
    )
  }
  const most = Number(settings.get('max_connections') ?? 0)
  const wanted = database.name === 'postgres' ? database.poolMax : 0
  if (most > 0 && wanted > most - 5) {
    findings.push(
      warning(`max_connections is ${most}, and the server may open ${wanted} (${connections} are open)`, {
        consequence: 'under load, connections are refused',
        cure: `database: {args: {cp_max: ${Math.max(1, most - 10)}}}, or a higher max_connections`,
      }),
    )
  }
  return findings
}
