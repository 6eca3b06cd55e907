import { expect } from 'chai'
import { migrations, type Migration } from '../../../migrations/index.js'
import {
  checkCompatible,
  IncompatibleSchemaError,
  migrate,
  migrationStatus,
  rollback,
  SCHEMA_VERSION,
} from '../../../src/storage/migrator.js'
import { forEachDatabase } from '../../support/databases.js'

const extra: Migration = {
  name: '9999-extra',
  up: (knex) => knex.schema.createTable('extra', (table) => table.integer('id')),
  down: (knex) => knex.schema.dropTable('extra'),
}
const broken: Migration = {
  name: '9999-broken',
  up: async (knex) => {
    await knex.raw('CREATE TABLE half (id INTEGER)')
    await knex.raw('CREATE NONSENSE')
  },
  down: () => Promise.resolve(),
}

forEachDatabase('migrator', (open) => {
  it('has taken all steps in the databases of tests', async () => {
    const status = await migrationStatus(await open())
    expect(status).to.deep.equal({
      applied: migrations.map(({ name }) => name),
      pending: [],
      schemaVersion: SCHEMA_VERSION,
      compatVersion: SCHEMA_VERSION,
    })
  })

  it('takes only the steps that are missing, and can go back', async () => {
    const db = await open()
    const list = [...migrations, extra]
    expect((await migrationStatus(db, list)).pending).to.deep.equal(['9999-extra'])
    expect(await migrate(db, list)).to.deep.equal(['9999-extra'])
    expect(await migrate(db, list)).to.deep.equal([])
    expect(await db.reader.all('SELECT * FROM extra')).to.deep.equal([])
    await rollback(db, 1, list)
    expect((await migrationStatus(db, list)).pending).to.deep.equal(['9999-extra'])
  })

  it('leaves nothing of a step that fails', async () => {
    const db = await open()
    const list = [...migrations, broken]
    expect(await migrate(db, list).catch((error: unknown) => (error as Error).message)).to.include('NONSENSE')
    expect((await migrationStatus(db, list)).pending).to.deep.equal(['9999-broken'])
    expect(await db.reader.all('SELECT * FROM half').catch(() => 'gone')).to.equal('gone')
    expect(await migrate(db)).to.deep.equal([])
  })

  it('undoes and takes all steps again', async function () {
    this.timeout(30_000)
    const db = await open()
    await rollback(db, migrations.length)
    expect((await migrationStatus(db)).applied).to.deep.equal([])
    expect(await migrate(db)).to.have.length(migrations.length)
  })

  it('refuses a database that needs a newer program', async () => {
    const db = await open()
    await db.write('future', (tx) =>
      tx.execute('UPDATE schema_version SET schema_version = ?, compat_version = ?', [
        SCHEMA_VERSION + 2,
        SCHEMA_VERSION + 1,
      ]),
    )
    for (const attempt of [checkCompatible(db), migrate(db)]) {
      const error = await attempt.then(
        () => undefined,
        (reason: unknown) => reason,
      )
      expect(error).to.be.instanceOf(IncompatibleSchemaError)
    }
  })

  it('accepts a newer database that says it may, and leaves its version alone', async () => {
    const db = await open()
    await db.write('future', (tx) =>
      tx.execute('UPDATE schema_version SET schema_version = ?', [SCHEMA_VERSION + 1]),
    )
    await db.write('future', (tx) =>
      tx.execute(
        `INSERT INTO schema_migrations (name, batch, migration_time) VALUES ('9999-future', 1, CURRENT_TIMESTAMP)`,
      ),
    )
    expect(await migrate(db)).to.deep.equal([])
    expect((await migrationStatus(db)).schemaVersion).to.equal(SCHEMA_VERSION + 1)
  })
})
