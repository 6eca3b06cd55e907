import { join } from 'node:path'
import { expect } from 'chai'
import { controlSocketPlace } from '../../../src/config/control-socket-path.js'
import { errorsOf, loadKeys } from '../../support/load-config.js'

async function placeOf(keys: object) {
  const { config, warnings } = await loadKeys(keys)
  expect(warnings.map(({ path }) => path)).to.deep.equal(['listeners'])
  return controlSocketPlace(config)
}

const sqlite = (path: string): object => ({ database: { name: 'sqlite3', args: { database: path } } })

describe('the place of the control socket', () => {
  it('is beside the SQLite database', async () => {
    expect(await placeOf(sqlite('/var/lib/mxhs/homeserver.db'))).to.deep.equal({
      path: '/var/lib/mxhs/mxhs.sock',
      isChosen: false,
      makesDirectory: false,
    })
    expect((await placeOf(sqlite('data/a.db')))?.path).to.equal(join(process.cwd(), 'data/mxhs.sock'))
  })

  it('is in the media store of a server on PostgreSQL', async () => {
    const database = { name: 'psycopg2', args: { database: 'mxhs' } }
    expect(await placeOf({ database, media_store_path: '/srv/media' })).to.deep.equal({
      path: '/srv/media/mxhs.sock',
      isChosen: false,
      makesDirectory: true,
    })
  })

  it('is where the configuration says', async () => {
    expect(await placeOf({ ...sqlite('a.db'), control_socket: '/run/mxhs/a.sock' })).to.deep.equal({
      path: '/run/mxhs/a.sock',
      isChosen: true,
      makesDirectory: false,
    })
  })

  it('is nowhere when that is what the configuration says, or when there is no directory', async () => {
    expect(await placeOf({ control_socket: false })).to.equal(undefined)
    expect(await placeOf(sqlite(':memory:'))).to.equal(undefined)
  })

  it('is a path or false', async () => {
    for (const control_socket of [true, 5, '', []]) {
      const [error] = await errorsOf({ control_socket })
      expect(error).to.match(/^control_socket: expected the path of a socket, or false, got /)
    }
  })
})
