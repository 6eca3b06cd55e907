import { expect } from 'chai'
import DbCompact from '../../../commands/db/compact.js'
import DbMigrate from '../../../commands/db/migrate.js'
import DbSize from '../../../commands/db/size.js'
import DbStatus from '../../../commands/db/status.js'
import MediaUsage from '../../../commands/media/usage.js'
import UsersList from '../../../commands/users/list.js'
import { migrations } from '../../../migrations/index.js'
import { ControlSocket } from '../../../src/server/control-socket.js'
import { rollback } from '../../../src/storage/migrator.js'
import { openDatabase } from '../../../src/storage/open-database.js'
import { silentLogger } from '../../../src/telemetry/logger.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { quietContext } from '../../support/databases.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs db', () => {
  const scratch = useScratch()
  const names = migrations.map(({ name }) => name)

  function config(): string {
    const database = `database: {name: sqlite3, args: {database: ${scratch.path('a.db')}}}`
    return scratch.write('homeserver.yaml', `server_name: a.org\n${database}\n`)
  }

  it('shows what is to be done, does it, and has then nothing to do', async () => {
    const path = config()
    const before = await runCommand(DbStatus, '-c', path, '--json')
    expect(expectCommandJson('db-status', before.stdout)).to.deep.include({
      schemaVersion: null,
      applied: [],
      pending: names,
    })
    const migrated = await runCommand(DbMigrate, '-c', path)
    expect(migrated.exitCode).to.equal(0)
    expect(migrated.stdout).to.equal(names.map((name) => `done  ${name}\n`).join(''))
    const after = await runCommand(DbStatus, '-c', path, '--json')
    expect(expectCommandJson('db-status', after.stdout)).to.deep.include({ applied: names, pending: [] })
    expect((await runCommand(DbMigrate, '-c', path)).stdout).to.equal('The schema is up to date.\n')
    const again = await runCommand(DbMigrate, '-c', path, '--json')
    expect(expectCommandJson('db-migrate', again.stdout)).to.deep.include({ taken: [] })
    expect((await runCommand(DbStatus, '-c', path)).stdout).to.contain('Nothing is to be done.')
  })

  it('migrate says what it would do', async () => {
    const path = config()
    const dry = await runCommand(DbMigrate, '-c', path, '--dry-run')
    expect(dry.stdout).to.equal(names.map((name) => `to do ${name}\n`).join(''))
    const json = await runCommand(DbMigrate, '-c', path, '-n', '--json')
    expect(expectCommandJson('db-migrate', json.stdout)).to.deep.include({ taken: [], pending: names })
    const done = await runCommand(DbMigrate, '-c', path)
    expect(done.stderr.split('\n')[0]).to.equal(`${names[0]}, step 1 of ${names.length}`)
    expect((await runCommand(DbMigrate, '-c', path, '-n')).stdout).to.equal('The schema is up to date.\n')
  })

  it('leaves the database of an older program to those who are asked to bring it up to date', async () => {
    const path = config()
    await runCommand(DbMigrate, '-c', path)
    const db = await openDatabase({ name: 'sqlite', path: scratch.path('a.db') }, quietContext())
    await rollback(db, 1)
    await db.close()
    for (const command of [DbSize, UsersList, MediaUsage]) {
      const { exitCode, stderr } = await runCommand(command, '-c', path)
      expect([exitCode, stderr]).to.deep.equal([
        1,
        'error: The database is that of an older mxhs (1 steps of its schema are missing): stop the server, and run mxhs db migrate or start the new one\n',
      ])
    }
    expect((await runCommand(DbMigrate, '-c', path)).stdout).to.equal(`done  ${names.at(-1)}\n`)
  })

  it('size shows what takes room', async () => {
    const path = config()
    const text = await runCommand(DbSize, '-c', path)
    expect(text.stdout).to.match(/^SQLite, .*a\.db: \d.* of it unused\n\ntable +rows +indexes\n/)
    const json = await runCommand(DbSize, '-c', path, '--json')
    expect(expectCommandJson('db-size', json.stdout)).to.deep.include({ rooms: [] })
  })

  it('compact gives room back, but not under a server that runs', async () => {
    const path = config()
    const dry = await runCommand(DbCompact, '-c', path, '--dry-run', '--json')
    expect(expectCommandJson('db-compact', dry.stdout)).not.to.have.property('bytesAfter')
    const text = await runCommand(DbCompact, '-c', path)
    expect(text.stdout).to.match(/^ +0 states of rooms at no event\n/)
    expect(text.stdout).to.match(/\nThe database takes \d.*; it was \d.* unused\.\n$/)
    expectCommandJson('db-compact', (await runCommand(DbCompact, '-c', path, '--json')).stdout)
    const running = await ControlSocket.open(scratch.path('mxhs.sock'), silentLogger())
    try {
      const refused = await runCommand(DbCompact, '-c', path)
      expect(refused.exitCode).to.equal(1)
      expect(refused.stderr).to.match(/^error: A server runs on this database/)
      expect((await runCommand(DbCompact, '-c', path, '--dry-run')).exitCode).to.equal(0)
    } finally {
      await running.close()
    }
  })

  it('says why a database cannot be opened', async () => {
    const database = `database: {name: sqlite3, args: {database: ${scratch.path('no/such/directory/a.db')}}}`
    const path = scratch.write('homeserver.yaml', `server_name: a.org\n${database}\n`)
    const { stderr, exitCode } = await runCommand(DbStatus, '-c', path)
    expect(exitCode).to.equal(1)
    expect(stderr).to.match(/^error: Cannot open the SQLite database .*a\.db/)
  })
})
