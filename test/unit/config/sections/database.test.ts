import { expect } from 'chai'
import type { DatabaseConfig } from '../../../../src/config/sections/database.js'
import { errorsOf, loadKeys, warningsOf } from '../../../support/load-config.js'

async function database(keys: object): Promise<DatabaseConfig> {
  return (await loadKeys({ database: keys })).config.database
}

async function connection(args: object): Promise<unknown> {
  const config = await database({ name: 'psycopg2', args })
  return config.name === 'postgres' ? config.connection : undefined
}

describe('database', () => {
  it('is a SQLite file', async () => {
    expect(await database({ name: 'sqlite3', args: { database: '/var/lib/a.db' } })).to.deep.equal({
      name: 'sqlite',
      path: '/var/lib/a.db',
      synchronous: 'normal',
    })
  })

  it('is PostgreSQL, with the arguments of psycopg2', async () => {
    const args = { user: 'u', password: 'p', dbname: 'd', host: 'h', port: 5433, cp_min: 5, cp_max: 20 }
    expect(await database({ name: 'psycopg2', args })).to.deep.equal({
      name: 'postgres',
      connection: { user: 'u', password: 'p', database: 'd', host: 'h', port: 5433 },
      poolMax: 20,
      applicationName: 'mxhs',
      synchronousCommit: 'on',
    })
  })

  it('takes a password and a port for texts and numbers alike', async () => {
    expect(await connection({ database: 'd', password: 1234, port: '5433' })).to.deep.equal({
      database: 'd',
      password: '1234',
      port: 5433,
    })
  })

  it('understands connection strings', async () => {
    expect(await connection({ dsn: 'postgresql://u:p@h/d' })).to.deep.equal({ url: 'postgresql://u:p@h/d' })
    expect(await connection({ dsn: "host=h user='a b' password='it\\'s' dbname = d" })).to.deep.equal({
      host: 'h',
      user: 'a b',
      password: "it's",
      database: 'd',
    })
    expect(await connection({ dsn: 'host=h dbname=d', host: 'other' })).to.deep.equal({
      host: 'other',
      database: 'd',
    })
    expect((await errorsOf({ database: { name: 'psycopg2', args: { dsn: 'nonsense' } } }))[0]).to.match(
      /^database\.args\.dsn: expected a URL/,
    )
  })

  it('encrypts as sslmode says', async () => {
    expect(await connection({ sslmode: 'disable' })).to.deep.equal({ ssl: false })
    expect(await connection({ sslmode: 'prefer' })).to.deep.equal({})
    expect(await connection({ sslmode: 'verify-full' })).to.deep.equal({ ssl: { rejectUnauthorized: true } })
    expect(await connection({ sslmode: 'require' })).to.deep.include.keys('ssl')
    const required = (await connection({ sslmode: 'require' })) as { ssl: { rejectUnauthorized: boolean } }
    expect(required.ssl.rejectUnauthorized).to.equal(false)
  })

  it('has one setting for what a commit survives', async () => {
    expect(await database({ name: 'sqlite3', synchronous: 'full' })).to.include({ synchronous: 'full' })
    expect(await database({ name: 'psycopg2', synchronous: 'off' })).to.include({ synchronousCommit: 'off' })
    // YAML's false and true.
    expect(await database({ name: 'psycopg2', synchronous: false })).to.include({ synchronousCommit: 'off' })
    expect(await database({ name: 'psycopg2', synchronous: true })).to.include({ synchronousCommit: 'on' })
  })

  it('names arguments that are unknown or not used', async () => {
    const args = { dbname: 'd', cp_min: 5, keepalives_idle: 10, options: '-c x=y' }
    const warnings = await warningsOf({ listeners: [{ port: 1 }], database: { name: 'psycopg2', args } })
    expect(warnings.map((warning) => warning.split(': ')[0])).to.deep.equal([
      'database.args.keepalives_idle',
      'database.args.options',
    ])
    expect(await errorsOf({ database: { name: 'psycopg2', args: { pasword: 'x' } } })).to.deep.equal([
      'database.args.pasword: unknown key; did you mean password?',
    ])
  })

  it('refuses other databases', async () => {
    expect(await errorsOf({ database: { name: 'mysql' } })).to.deep.equal([
      'database.name: expected one of sqlite3, psycopg2, got "mysql"',
    ])
  })
})
