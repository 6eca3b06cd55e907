import { expect } from 'chai'
import { formatNotice } from '../../../src/config/config-error.js'
import { loadConfig } from '../../../src/config/load.js'
import { loadSourceConfig } from '../../../src/config/load-source.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'

const SERVER = 'server_name: example.org\nlisteners: [{port: 8008, resources: [{names: [client]}]}]\n'
const TWO = `databases:
  all_else:
    name: psycopg2
    data_stores: [main]
    args: {dbname: rest}
  states:
    name: psycopg2
    data_stores: [state]
    args: {dbname: states, password_path: PASSWORD}
`

describe('a configuration of several databases', () => {
  const scratch = useScratch()
  const write = (text: string, name = 'homeserver.yaml'): string =>
    scratch.write(name, text.replace('PASSWORD', scratch.path('password')))

  async function errorOf(text: string): Promise<string> {
    const error = (await rejection(loadConfig([write(text)], { env: {} }))) as Error
    return error.message.replaceAll(`${scratch.directory}/`, '')
  }

  it('is read of a server that is taken over', async () => {
    scratch.write('password', 'secret\n')
    const { config, statesDatabase } = await loadSourceConfig([write(SERVER + TWO)], { env: {} })
    const shared = { name: 'postgres', poolMax: 10, applicationName: 'mxhs', synchronousCommit: 'on' }
    expect(config.database).to.deep.equal({ ...shared, connection: { database: 'rest' } })
    expect(statesDatabase).to.deep.equal({
      ...shared,
      connection: { database: 'states', password: 'secret' },
    })
  })

  it('is none where one holds everything', async () => {
    const one = write(`${SERVER}databases: {it: {name: sqlite3, args: {database: /a.db}}}\n`)
    const source = await loadSourceConfig([one], { env: {} })
    expect(source.statesDatabase).to.equal(undefined)
    const { config } = await loadConfig([one], { env: {} })
    expect([source.config.database, config.database].map((database) => database.name)).to.deep.equal([
      'sqlite',
      'sqlite',
    ])
  })

  it('is nothing to run a server with', async () => {
    expect(await errorOf(SERVER + TWO)).to.match(
      /^homeserver\.yaml:3:1: databases: several databases are not served: name one in database/,
    )
  })

  it('gives way to one database in a later file', async () => {
    const later = write('database: {name: sqlite3, args: {database: /new.db}}\n', 'later.yaml')
    const { config, warnings } = await loadConfig([write(SERVER + TWO), later], { env: {} })
    expect(config.database).to.include({ name: 'sqlite', path: '/new.db' })
    expect(warnings.map((notice) => formatNotice(notice)).join('\n')).to.include(
      'databases: has no effect beside database',
    )
  })

  it('says where it is wrong', async () => {
    expect(await errorOf(`${SERVER}databases: {a: {data_stores: [main]}}\n`)).to.include(
      'databases: expected one database with state among its data_stores, got 0',
    )
    expect(await errorOf(`${SERVER}databases: 7\n`)).to.include('expected a map of databases')
    expect(await errorOf(`${SERVER}databases:\n  a:\n    name: mysql\n`)).to.match(
      /homeserver\.yaml:5:\d+: database\.name: expected one of sqlite3, psycopg2/,
    )
  })
})
