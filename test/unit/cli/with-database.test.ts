import { expect } from 'chai'
import { describeDatabase } from '../../../src/cli/with-database.js'
import type { DatabaseConfig } from '../../../src/config/sections/database.js'

function postgres(connection: Extract<DatabaseConfig, { name: 'postgres' }>['connection']): DatabaseConfig {
  return { name: 'postgres', connection, poolMax: 10, applicationName: 'mxhs', synchronousCommit: 'on' }
}

describe('describeDatabase', () => {
  it('says where a database is, and never the password', () => {
    expect(describeDatabase({ name: 'sqlite', path: '/a.db', synchronous: 'normal' })).to.equal(
      'SQLite, /a.db',
    )
    expect(
      describeDatabase(postgres({ host: 'db', port: 5433, user: 'u', password: 'secret', database: 'd' })),
    ).to.equal('PostgreSQL, db:5433/d')
    expect(describeDatabase(postgres({ url: 'postgresql://u:secret@db:5433/d?sslmode=disable' }))).to.equal(
      'PostgreSQL, db:5433/d',
    )
    expect(describeDatabase(postgres({}))).to.equal('PostgreSQL, localhost/')
  })
})
