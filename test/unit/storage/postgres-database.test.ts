import { expect } from 'chai'
import { openDatabase } from '../../../src/storage/open-database.js'
import { createTestDatabase, quietContext, type TestDatabase } from '../../support/databases.js'
import type { Database } from '../../../src/storage/database.js'

async function failure(promise: Promise<unknown>): Promise<Error & { code?: string; statement?: string }> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('It was expected to fail')
}

describe('PostgreSQL database', function () {
  this.timeout(60_000)
  let test: TestDatabase
  let db: Database

  beforeEach(async () => {
    test = await createTestDatabase('postgres')
    db = await openDatabase(
      { ...test.config, poolMax: 4, statementTimeoutMs: 300 } as typeof test.config,
      quietContext(),
    )
  })

  afterEach(async () => {
    await db.close()
    await test.remove()
  })

  it('goes on after its connections were cut, in the middle of a transaction too', async () => {
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`
    for (let round = 0; round < 3; round++) {
      const error = await failure(
        db.write('victim', async (tx) => {
          await tx.first('SELECT 1')
          await db.reader.all(cut)
          await tx.first('SELECT 2')
        }),
      )
      expect(error).to.be.instanceOf(Error)
      expect(await db.reader.first('SELECT 3 AS n')).to.deep.equal({ n: 3 })
      expect(await db.write('after', (tx) => tx.first('SELECT 4 AS n'))).to.deep.equal({ n: 4 })
    }
  })

  it('gives up on a statement after its time, and tells which', async () => {
    const error = await failure(db.reader.all('SELECT pg_sleep(20)'))
    expect(error.code).to.equal('57014')
    expect(error.statement).to.equal('SELECT pg_sleep(20)')
    expect(await db.reader.first('SELECT 1 AS n')).to.deep.equal({ n: 1 })
  })

  it('leaves connections for reading while many write', async () => {
    await Promise.all(
      Array.from({ length: 20 }, () =>
        db.write('work', async (tx) => {
          await tx.first('SELECT 1')
          await db.reader.first('SELECT 2')
          await db.read('inner', (q) => q.first('SELECT 3'))
        }),
      ),
    )
  })

  it('survives statements that cannot be parsed, many at once', async () => {
    for (let round = 0; round < 3; round++) {
      const error = await failure(
        db.write('work', (tx) => {
          void tx.all('SELECT nothing FROM nowhere WHERE a = ?', [1])
          void tx.all('SELECT nothing FROM nowhere WHERE a = ?', [2])
          void tx.all('SELECT CAST(? AS integer) AS n', [3])
          return Promise.resolve()
        }),
      )
      expect(error.code).to.equal('42P01')
      expect(await db.reader.first('SELECT CAST(? AS integer) AS n', [round])).to.deep.equal({ n: round })
    }
  })

  it('tells its name', async () => {
    const row = await db.reader.first(
      'SELECT application_name AS name FROM pg_stat_activity WHERE pid = pg_backend_pid()',
    )
    expect(row).to.deep.equal({ name: 'mxhs' })
  })

  it('says what is wrong when there is no server', async () => {
    const error = await failure(
      openDatabase(
        { name: 'postgres', connection: { host: '127.0.0.1', port: 1, user: 'x' } },
        quietContext(),
      ),
    )
    expect(error.message).to.match(/PostgreSQL.*ECONNREFUSED/)
  })
})
