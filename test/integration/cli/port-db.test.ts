import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import pg from 'pg'
import PortDb from '../../../commands/port-db.js'
import { ControlSocket } from '../../../src/server/control-socket.js'
import type { DatabaseConfig } from '../../../src/storage/open-database.js'
import { silentLogger } from '../../../src/telemetry/logger.js'
import { builtProgram } from '../../support/built-program.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand, runProgram } from '../../support/commands.js'
import { createTestDatabase, startPostgres, type TestDatabase } from '../../support/databases.js'
import { ask, change } from '../../support/porting.js'
import { useScratch } from '../../support/scratch.js'

interface Report {
  readonly complete: boolean
  readonly incompleteBecause: string | null
  readonly rows: number
  readonly carried: number
  readonly unstorable: readonly object[]
}

describe('mxhs port-db', function () {
  this.timeout(60_000)
  const scratch = useScratch()
  let source: TestDatabase
  let target: TestDatabase

  before(async () => {
    await startPostgres()
  })
  beforeEach(async () => {
    source = await createTestDatabase('sqlite')
    target = await createTestDatabase('postgres')
  })
  afterEach(async () => {
    await source.remove()
    await target.remove()
  })

  it('takes the flags of Synapse, is killed and goes on, and verifies', async () => {
    await change(source.config, ...manyRows(10_000))
    const flags = ['--sqlite-database', pathOf(source.config), '--postgres-config', postgresFile(), '-v']
    await killedWhileCopying([...flags, '--batch-size', '100'], target.config)
    const { stdout, stderr, exitCode } = await runProgram(['port-db', ...flags, '--json'])
    expect(exitCode, stderr).to.equal(0)
    const report = expectCommandJson('port-db', stdout) as Report
    expect(report).to.deep.include({ complete: true, resumed: true, incompleteBecause: null, unstorable: [] })
    expect(report.carried).to.be.within(1, 10_000 + 3)
    expect(await ask(target.config, COUNT)).to.deep.equal([{ n: 10_000 }])
  })

  it('comes back to SQLite by --from and --to', async () => {
    await change(source.config, ...manyRows(50))
    const there = await runCommand(PortDb, '--from', pathOf(source.config), '--to', urlOf(target.config))
    expect(there.exitCode, there.stderr).to.equal(0)
    expect(there.stdout).to.match(/account_data +50 +50 +[0-9a-f]{16}/)
    expect(there.stdout).to.match(/\d+ tables with 53 rows are the same on both sides; 53 were carried, in /)
    expect(there.stderr).to.contain('Complete: put the new database')
    const path = scratch.path('back.db')
    const back = await runCommand(PortDb, '--from', postgresFile(), '--to', path, '--json')
    expect(back.exitCode, back.stderr).to.equal(0)
    expectCommandJson('port-db', back.stdout)
    expect(await ask({ name: 'sqlite', path }, COUNT)).to.deep.equal([{ n: 50 }])
  })

  it('says in advance what there is, what cannot come over, and how long it will take', async () => {
    await change(source.config, ...manyRows(50), BROKEN)
    const paths = ['-c', configuration(), '--to', postgresFile()]
    const { stdout, exitCode } = await runCommand(PortDb, ...paths, '--dry-run', '--json')
    expect(exitCode).to.equal(0)
    expect(expectCommandJson('port-db', stdout)).to.deep.include({
      dryRun: true,
      target: 'empty',
      rows: 52,
      freeBytes: null,
      unstorable: [
        {
          table: 'account_data',
          key: 'user_id="user7", room_id="", type="t"',
          columns: ['content'],
          reason: 'a NUL character',
        },
      ],
    })
    const shown = await runCommand(PortDb, ...paths, '--dry-run')
    expect(shown.stdout).to.match(/^account_data +49 /m)
    expect(shown.stdout).to.match(/^time +about /m)
    expect(await ask(target.config, COUNT)).to.deep.equal([{ n: 0 }])
  })

  it('is not complete with a row that cannot be held, unless that is left out', async () => {
    await change(source.config, ...manyRows(50), BROKEN)
    const paths = ['-c', configuration(), '--to', postgresFile()]
    const refused = await runCommand(PortDb, ...paths, '--json')
    expect(refused.exitCode).to.equal(1)
    expect(expectCommandJson('port-db', refused.stdout)).to.deep.include({
      complete: false,
      incompleteBecause: 'a row of the source cannot be held by the target',
      rows: 52,
    })
    const skipped = await runCommand(PortDb, ...paths, '--skip-unstorable')
    expect(skipped.exitCode).to.equal(0)
    expect(skipped.stdout).to.contain(
      '1 row cannot be held by the new database:\n  account_data  user_id="user7"',
    )
  })

  it('refuses the last pass while a server runs, but carries over what there is', async () => {
    await change(source.config, ...manyRows(20))
    const socket = await ControlSocket.open(scratch.path('mxhs.sock'), silentLogger())
    socket.serve({ ping: () => Promise.resolve({ pid: 4711 }) })
    const paths = ['-c', configuration(scratch.path('mxhs.sock')), '--to', postgresFile()]
    try {
      const refused = await runCommand(PortDb, ...paths)
      expect(refused.exitCode).to.equal(1)
      expect(refused.stderr).to.match(
        /error: The source is in use: the server runs \(process 4711\)\. Stop the server/,
      )
      const passed = await runCommand(PortDb, ...paths, '--while-running', '--json')
      expect(passed.exitCode, passed.stderr).to.equal(0)
      expect(expectCommandJson('port-db', passed.stdout)).to.deep.include({
        complete: false,
        rows: 23,
        carried: 23,
      })
      expect(passed.stderr).to.contain('Not complete: the source is in use: the server runs (process 4711).')
    } finally {
      await socket.close()
    }
    const last = await runCommand(PortDb, ...paths, '--json')
    expect(expectCommandJson('port-db', last.stdout)).to.deep.include({ complete: true, carried: 0 })
  })

  it('refuses what does not fit', async () => {
    const path = pathOf(source.config)
    const refusal = async (...flags: string[]): Promise<string> => {
      const { stdout, stderr, exitCode } = await runCommand(PortDb, ...flags)
      expect(stdout).to.equal('')
      return `${exitCode}: ${stderr.split('\n').find((line) => line.startsWith('error: ')) ?? stderr}`
    }
    expect(await refusal('--from', path)).to.match(/^2: error: Where to\?/)
    expect(await refusal('--from', path, '--to', scratch.path('no.yaml'))).to.match(
      /^1: error: .*there is no such file/,
    )
    expect(await refusal('--from', scratch.path('no.db'), '--to', postgresFile())).to.match(
      /^1: error: Cannot open the SQLite database/,
    )
    expect(await refusal('--from', path, '--to', scratch.path('other.db'))).to.match(
      /^1: error: Both databases/,
    )
    expect(await refusal('--from', path, '--to', scratch.write('empty.yaml', 'a: b'))).to.match(
      /^2: error: --to .*: there is no "database" in this file/,
    )
    expect(await refusal('--from', path, '--to', postgresFile('nowhere'))).to.match(
      /^1: error: Cannot use the PostgreSQL database: database "nowhere" does not exist/,
    )
    expect(await refusal('--from', path, '--to', postgresFile(), '--batch-size', '0')).to.match(/^2: /)
    await change(source.config, "DELETE FROM schema_migrations WHERE name = '0001-accounts'")
    expect(await refusal('--from', path, '--to', postgresFile())).to.match(
      /^1: error: The schema of the source is not/,
    )
    await change(source.config, "INSERT INTO schema_migrations (name) VALUES ('9999-later')")
    expect(await refusal('--from', path, '--to', postgresFile())).to.match(
      /^1: error: The source belongs to a newer/,
    )
    await change(source.config, 'DROP TABLE schema_migrations')
    expect(await refusal('--from', path, '--to', postgresFile())).to.match(
      /^1: error: The source holds no database/,
    )
  })

  it('refuses a target that holds something else', async () => {
    await change(target.config, "INSERT INTO users (user_id, created_ts) VALUES ('@a:b.org', 1)")
    const flags = ['--from', pathOf(source.config), '--to', postgresFile()]
    const filled = await runCommand(PortDb, ...flags)
    expect([filled.exitCode, filled.stderr]).to.deep.equal([
      1,
      filled.stderr.replace(
        /error: .*\n/,
        'error: The target holds data already (users), which would be lost: give it a new, empty database\n',
      ),
    ])
    await change(target.config, 'DROP TABLE schema_migrations')
    const foreign = await runCommand(PortDb, ...flags)
    expect(foreign.stderr).to.match(/error: The target holds tables of something else \(/)
  })

  /** Kills the process once it has copied something, and not everything. */
  async function killedWhileCopying(flags: readonly string[], config: DatabaseConfig): Promise<void> {
    const child = spawn(process.execPath, [builtProgram(), 'port-db', ...flags], { stdio: 'ignore' })
    const ended = once(child, 'exit')
    // Not as a server would connect: the target would be in use.
    const client = new pg.Client({ connectionString: urlOf(config) })
    await client.connect()
    const copied = async (): Promise<number> => {
      const { rows } = await client.query<{ n: string }>(COUNT)
      return Number(rows[0]!.n)
    }
    try {
      while ((await copied()) === 0 && child.exitCode === null) continue
      child.kill('SIGKILL')
      await ended
      expect(await copied()).to.be.within(1, 10_000)
    } finally {
      await client.end()
    }
  }

  function configuration(controlSocket?: string): string {
    const database = `database: {name: sqlite3, args: {database: ${pathOf(source.config)}}}`
    return scratch.write(
      'homeserver.yaml',
      `server_name: a.org\ncontrol_socket: ${controlSocket ?? 'false'}\n${database}\n`,
    )
  }

  function postgresFile(name?: string): string {
    const url = new URL(urlOf(target.config))
    if (name !== undefined) url.pathname = `/${name}`
    return scratch.write('postgres.yaml', `database: {name: psycopg2, args: {dsn: "${url.href}"}}\n`)
  }

  function pathOf(config: DatabaseConfig): string {
    return config.name === 'sqlite' ? config.path : ''
  }

  function urlOf(config: DatabaseConfig): string {
    return config.name === 'postgres' && 'url' in config.connection ? config.connection.url : ''
  }
})

const COUNT = 'SELECT COUNT(*) AS n FROM account_data'
const BROKEN = "UPDATE account_data SET content = 'a' || char(0) WHERE user_id = 'user7'"

function manyRows(count: number): string[] {
  return [
    `WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${count})
     INSERT INTO account_data (user_id, room_id, type, stream_id, content) SELECT 'user' || n, '', 't', n, '{}' FROM c`,
  ]
}
