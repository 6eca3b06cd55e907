import { randomUUID } from 'node:crypto'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { Database } from '../../src/storage/database.js'
import { migrate } from '../../src/storage/migrator.js'
import { openDatabase, type DatabaseConfig } from '../../src/storage/open-database.js'
import type { DatabaseContext } from '../../src/storage/sql-database.js'
import { silentLogger } from '../../src/telemetry/logger.js'
import { createMetrics } from '../../src/telemetry/metrics.js'
import { systemClock } from '../../src/util/clock.js'
import { PostgresServer } from './postgres-server.js'

/** Points the tests at a server that runs already: the URL of a database whose user may create others. */
const URL_VARIABLE = 'MXHS_TEST_POSTGRES_URL'
/** Set by the test run for its workers: the migrated database that the others are copies of. */
const TEMPLATE_VARIABLE = 'MXHS_TEST_POSTGRES_TEMPLATE'
const START_TIMEOUT_MS = 60_000

export type DatabaseKind = DatabaseConfig['name']

/** A migrated database without any rows, for one test. */
export interface TestDatabase {
  readonly config: DatabaseConfig
  /** To be called when nobody is connected any more. */
  readonly remove: () => Promise<void>
}

/** Opens a fresh, migrated database. It is closed and removed after the test, or after the suite for `before` hooks. */
export type OpenTestDatabase = (context?: Partial<DatabaseContext>) => Promise<Database>

/** Runs the same tests on SQLite and on PostgreSQL. */
export function forEachDatabase(
  title: string,
  define: (open: OpenTestDatabase, kind: DatabaseKind) => void,
): void {
  for (const kind of ['sqlite', 'postgres'] as const) {
    describe(`${title} (${kind})`, function () {
      const ofSuite: (() => Promise<void>)[] = []
      let opened = ofSuite
      before(async function () {
        if (kind !== 'postgres') return
        this.timeout(START_TIMEOUT_MS)
        await postgresTemplate()
      })
      beforeEach(() => {
        opened = []
      })
      define(async (context) => {
        const closers = opened
        const test = await createTestDatabase(kind)
        const db = await openDatabase(test.config, { ...quietContext(), ...context })
        closers.push(async () => {
          await db.close()
          await test.remove()
        })
        return db
      }, kind)
      afterEach(async () => {
        await closeAll(opened)
        opened = ofSuite
      })
      after(() => closeAll(ofSuite))
    })
  }
}

/** A database for whoever opens it by itself, such as a whole server in a test. */
export function createTestDatabase(kind: DatabaseKind): Promise<TestDatabase> {
  return kind === 'sqlite' ? createSqliteDatabase() : createPostgresDatabase()
}

/** What a database needs around it, saying nothing. */
export function quietContext(): DatabaseContext {
  return { logger: silentLogger(), metrics: createMetrics(), clock: systemClock }
}

/**
 * Brings up the PostgreSQL server of the whole test run and tells the workers of it by environment variables. Called
 * once by mocha's global fixture; without that (one file, no configuration) by the first suite that needs it.
 */
export async function startPostgres(): Promise<void> {
  if (process.env[TEMPLATE_VARIABLE] !== undefined) return
  const given = process.env[URL_VARIABLE]
  if (given === undefined) {
    own.server = await PostgresServer.start()
    process.env[URL_VARIABLE] = own.server.url
  }
  const template = `mxhs_template_${shortId()}`
  await administer(`CREATE DATABASE ${template}`)
  const db = await openDatabase({ name: 'postgres', connection: { url: urlOf(template) } }, quietContext())
  try {
    await migrate(db)
  } finally {
    await db.close()
  }
  own.template = template
  process.env[TEMPLATE_VARIABLE] = template
}

/** The inverse of `startPostgres`, in the process that called it. */
export async function stopPostgres(): Promise<void> {
  const { server, template } = own
  if (template !== undefined && server === undefined) await administer(`DROP DATABASE IF EXISTS ${template}`)
  await server?.stop()
}

/** What this process has started itself. */
const own: {
  server?: PostgresServer
  template?: string
  starting?: Promise<void>
  sqliteTemplate?: Promise<string>
} = {}

async function postgresTemplate(): Promise<string> {
  if (process.env[TEMPLATE_VARIABLE] === undefined) {
    own.starting ??= startPostgres()
    await own.starting
  }
  return process.env[TEMPLATE_VARIABLE] ?? ''
}

async function createPostgresDatabase(): Promise<TestDatabase> {
  const name = `mxhs_test_${shortId()}`
  await administer(`CREATE DATABASE ${name} TEMPLATE ${await postgresTemplate()} STRATEGY FILE_COPY`)
  return {
    config: { name: 'postgres', connection: { url: urlOf(name) } },
    remove: () => administer(`DROP DATABASE ${name} WITH (FORCE)`),
  }
}

async function createSqliteDatabase(): Promise<TestDatabase> {
  own.sqliteTemplate ??= createSqliteTemplate()
  const template = await own.sqliteTemplate
  const path = join(template, '..', `${shortId()}.db`)
  copyFileSync(template, path)
  return {
    config: { name: 'sqlite', path },
    remove: () => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
      return Promise.resolve()
    },
  }
}

async function createSqliteTemplate(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'mxhs-test-'))
  process.once('exit', () => {
    rmSync(directory, { recursive: true, force: true })
  })
  const path = join(directory, 'template.db')
  const db = await openDatabase({ name: 'sqlite', path }, quietContext())
  try {
    await migrate(db)
  } finally {
    await db.close()
  }
  return path
}

function urlOf(database: string): string {
  const url = new URL(process.env[URL_VARIABLE] ?? '')
  url.pathname = `/${database}`
  return url.href
}

async function administer(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: process.env[URL_VARIABLE] ?? '' })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

async function closeAll(closers: (() => Promise<void>)[]): Promise<void> {
  const results = await Promise.allSettled(closers.splice(0).map((close) => close()))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

function shortId(): string {
  return randomUUID().replaceAll('-', '').slice(0, 16)
}
