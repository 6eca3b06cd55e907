import { expect } from 'chai'
import { readdirSync, statSync } from 'node:fs'
import { openDatabase } from '../../../src/storage/open-database.js'
import { createTestDatabase, quietContext } from '../../support/databases.js'
import { useScratch } from '../../support/scratch.js'

describe('SQLite database', () => {
  const scratch = useScratch()

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
    // Others have theirs in the usual place.
    const { TMPDIR } = process.env
    process.env['TMPDIR'] = scratch.path('')
    const temporaryFiles = (): string[] => readdirSync(scratch.path(''))
    try {
      const db = await openDatabase({ name: 'sqlite', path: ':memory:' }, quietContext())
      expect(temporaryFiles()).to.not.deep.equal([])
      await db.write('work', (tx) => tx.execute('CREATE TABLE a (b INTEGER)'))
      expect(await db.reader.all('SELECT * FROM a')).to.deep.equal([])
      await db.close()
      expect(temporaryFiles()).to.deep.equal([])
    } finally {
      if (TMPDIR === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = TMPDIR
    }
  })

  it('makes files that only their owner can read', async () => {
    const path = scratch.path('private.db')
    const db = await openDatabase({ name: 'sqlite', path }, quietContext())
    await db.write('work', (tx) => tx.execute('CREATE TABLE a (b INTEGER)'))
    const modes = readdirSync(scratch.path('')).map((name) => statSync(scratch.path(name)).mode & 0o777)
    expect(new Set(modes)).to.deep.equal(new Set([0o600]))
    expect(modes).to.have.length(3)
    await db.close()
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
