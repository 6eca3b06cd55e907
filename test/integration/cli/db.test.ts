import { expect } from 'chai'
import DbMigrate from '../../../commands/db/migrate.js'
import DbStatus from '../../../commands/db/status.js'
import { migrations } from '../../../migrations/index.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
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

  it('says why a database cannot be opened', async () => {
    const database = `database: {name: sqlite3, args: {database: ${scratch.path('no/such/directory/a.db')}}}`
    const path = scratch.write('homeserver.yaml', `server_name: a.org\n${database}\n`)
    const { stderr, exitCode } = await runCommand(DbStatus, '-c', path)
    expect(exitCode).to.equal(1)
    expect(stderr).to.match(/^error: Cannot open the SQLite database .*a\.db/)
  })
})
