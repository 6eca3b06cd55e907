import { expect } from 'chai'
import type { Database, Tx } from '../../../src/storage/database.js'
import { forEachDatabase } from '../../support/databases.js'
import { rejection } from '../../support/rejection.js'

forEachDatabase('statement groups', (open) => {
  let db: Database

  beforeEach(async () => {
    db = await open()
    await db.write('create', (tx) => tx.execute('CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT)'))
  })

  const insert = (tx: Tx, id: number): Promise<number> =>
    tx.execute('INSERT INTO notes (id, body) VALUES (?, ?)', [id, 'x'])

  const both = (tx: Tx, first: number, second: number): Promise<void> => {
    const options = { columns: { id: 'integer', body: 'text' } } as const
    const { dialect } = tx
    const move = `UPDATE notes SET body = r.body FROM ${dialect.rowsFrom({ id: 'integer', body: 'text' })} AS r
                  WHERE notes.id = r.id`
    return tx.executeLast(dialect.group('both', [dialect.insertSql('notes', options), move]), [
      ...dialect.insertParams([{ id: first, body: '?' }], options),
      dialect.rows([{ id: second, body: 'moved' }]),
    ])
  }
  const bodies = async (): Promise<unknown[]> => db.reader.all('SELECT id, body FROM notes ORDER BY id')

  it('runs all statements of a group and commits, alone or after others', async () => {
    await db.write('alone', (tx) => both(tx, 1, 9))
    await db.write('after others', async (tx) => {
      await insert(tx, 2)
      await both(tx, 3, 2)
    })
    await db.write('again', (tx) => both(tx, 4, 1))
    expect(await bodies()).to.deep.equal([
      { id: 1, body: 'moved' },
      { id: 2, body: 'moved' },
      { id: 3, body: '?' },
      { id: 4, body: '?' },
    ])
  })

  it('undoes the whole group when one of it fails, and what came before', async () => {
    await db.write('first', (tx) => insert(tx, 1))
    const done: string[] = []
    const failing = async (tx: Tx): Promise<void> => {
      tx.afterCommit(() => done.push('committed'))
      tx.afterRollback(() => done.push('rolled back'))
      await both(tx, 1, 1)
    }
    const afterOthers = async (tx: Tx): Promise<void> => {
      await insert(tx, 2)
      await failing(tx)
    }
    for (const work of [failing, afterOthers]) {
      expect(db.dialect.isUniqueViolation(await rejection(db.write('failing', work)))).to.equal(true)
    }
    expect(await bodies()).to.deep.equal([{ id: 1, body: 'x' }])
    expect(done).to.deep.equal(['rolled back', 'rolled back'])
    await db.write('the connection is usable', (tx) => insert(tx, 5))
    expect((await bodies()).length).to.equal(2)
  })

  it('is the last: what comes after is refused', async () => {
    const late = db.write('late', async (tx) => {
      await both(tx, 1, 1)
      await insert(tx, 2)
    })
    expect(await rejection(late)).to.match(/came too late/)
  })
})
