import { expect } from 'chai'
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { openDatabase } from '../../../src/storage/open-database.js'
import { createTestDatabase, quietContext } from '../../support/databases.js'

describe('SQLite database', () => {
  const temporaryFiles = (): string[] =>
    readdirSync(tmpdir()).filter((name) => /^mxhs-[0-9a-f-]{36}\.db/.test(name))

  it('sets up its connections', async () => {
    const db = await openDatabase({ name: 'sqlite', path: ':memory:' }, quietContext())
    try {
      const settings = await db.write('look', async (tx) => [
        await tx.first('PRAGMA journal_mode'),
        await tx.first('PRAGMA foreign_keys'),
        await tx.first('PRAGMA synchronous'),
      ])
      expect(settings).to.deep.equal([{ journal_mode: 'wal' }, { foreign_keys: 1 }, { synchronous: 1 }])
      expect(await db.reader.first('PRAGMA query_only')).to.deep.equal({ query_only: 1 })
    } finally {
      await db.close()
    }
  })

  it('removes a temporary database', async () => {
    const before = temporaryFiles()
    const db = await openDatabase({ name: 'sqlite', path: ':memory:' }, quietContext())
    expect(temporaryFiles().length).to.be.greaterThan(before.length)
    await db.write('work', (tx) => tx.execute('CREATE TABLE a (b INTEGER)'))
    expect(await db.reader.all('SELECT * FROM a')).to.deep.equal([])
    await db.close()
    expect(temporaryFiles()).to.deep.equal(before)
  })

  it('keeps what was written', async () => {
    const { config, remove } = { ...(await createTestDatabase('sqlite')) }
    const first = await openDatabase(config, quietContext())
    await first.write('work', (tx) => tx.execute('CREATE TABLE a (b INTEGER)'))
    await first.close()
    const second = await openDatabase(config, quietContext())
    expect(await second.reader.all('SELECT * FROM a')).to.deep.equal([])
    await second.close()
    await remove()
  })

  it('keeps more statements apart than it keeps prepared', async () => {
    const db = await openDatabase({ name: 'sqlite', path: ':memory:' }, quietContext())
    try {
      await db.read('many', async (q) => {
        for (let round = 0; round < 2; round++) {
          for (let n = 0; n < 900; n++) expect(await q.first(`SELECT ${n} AS n`)).to.deep.equal({ n })
        }
      })
    } finally {
      await db.close()
    }
  })

  it('says which file cannot be opened', async () => {
    const path = '/nonexistent/folder/homeserver.db'
    const error = await openDatabase({ name: 'sqlite', path }, quietContext()).then(
      () => undefined,
      (reason: unknown) => reason as Error,
    )
    expect(error?.message).to.include(path)
  })
})
