import { expect } from 'chai'
import { DATABASE_PREFIX, type ArchiveHeader } from '../../../../src/services/backup/archive-format.js'
import { DatabaseLoad } from '../../../../src/services/backup/database-load.js'
import { rejection } from '../../../support/rejection.js'

const TABLE = { name: 'users', columns: [{ name: 'user_id', type: 'text' }], key: ['user_id'] } as const
const PART = `${DATABASE_PREFIX}users/0`

function createLoad(openLoader: () => Promise<never>): DatabaseLoad {
  const header = { tables: [TABLE], migrations: [] } as unknown as ArchiveHeader
  return new DatabaseLoad({ db: undefined as never, openLoader }, header)
}

describe('DatabaseLoad', () => {
  it('does not blame the archive where the database cannot be filled', async () => {
    const failure = new Error('The database is full')
    const load = createLoad(() => Promise.reject(failure))
    expect(await rejection(load.add(PART, Buffer.from('["@alice:hs.test"]\n')))).to.equal(failure)
  })

  it('blames the archive for rows that are none, and for tables that it does not describe', async () => {
    const loader = { load: () => Promise.reject(new Error('not a row')) }
    const load = createLoad(() => Promise.resolve(loader as never))
    expect(await rejection(load.add(PART, Buffer.from('x\n')))).to.include({
      name: 'ArchiveError',
      message: `${PART} is damaged: not a row`,
    })
    expect(await rejection(load.add(`${DATABASE_PREFIX}others/0`, Buffer.of()))).to.have.property(
      'name',
      'ArchiveError',
    )
  })
})
