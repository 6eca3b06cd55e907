import { expect } from 'chai'
import type { Database, InsertOptions, Tx } from '../../../src/storage/database.js'
import { UnstorableTextError } from '../../../src/storage/sql-text.js'
import { createDeferred } from '../../../src/util/deferred.js'
import { forEachDatabase } from '../../support/databases.js'
import { rejection } from '../../support/rejection.js'

const NOTES: InsertOptions = {
  columns: { id: 'integer', body: 'text', score: 'real', flag: 'boolean', data: 'blob' },
}

interface Note {
  id: number
  body: string | null
  score: number | null
  flag: number | null
  data: Buffer | null
}

forEachDatabase('database', (open, kind) => {
  let db: Database

  beforeEach(async () => {
    db = await open()
    await db.write('create', async (tx) => {
      const blob = kind === 'sqlite' ? 'BLOB' : 'BYTEA'
      await tx.execute(
        `CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT, score DOUBLE PRECISION, flag SMALLINT, data ${blob})`,
      )
    })
  })

  const insert = (tx: Tx, id: number, body = 'x'): Promise<number> =>
    tx.execute('INSERT INTO notes (id, body) VALUES (?, ?)', [id, body])
  const ids = async (): Promise<number[]> =>
    (await db.reader.all<{ id: number }>('SELECT id FROM notes ORDER BY id')).map(({ id }) => id)

  describe('statements', () => {
    it('bind and give back every kind of value', async () => {
      const data = Buffer.from([0, 1, 254, 255])
      const body = `quote ' " back\\slash {brace} ? ?? $1 😀 \u2028`
      await db.write('insert', (tx) =>
        tx.execute('INSERT INTO notes (id, body, score, flag, data) VALUES (?, ?, ?, ?, ?)', [
          1_790_000_000_000,
          body,
          0.25,
          true,
          data,
        ]),
      )
      const note = await db.reader.first<Note>('SELECT * FROM notes WHERE id = ?', [1_790_000_000_000])
      expect(note).to.deep.equal({ id: 1_790_000_000_000, body, score: 0.25, flag: 1, data })
    })

    it('give counts, sums and truths as numbers', async () => {
      await db.write('insert', async (tx) => {
        await insert(tx, 2 ** 40)
        await insert(tx, 3)
      })
      const row = await db.reader.first(
        'SELECT COUNT(*) AS n, SUM(id) AS sum, MAX(id) AS max, EXISTS (SELECT 1 FROM notes) AS found FROM notes',
      )
      expect(row).to.deep.equal({ n: 2, sum: 2 ** 40 + 3, max: 2 ** 40, found: 1 })
    })

    it('keep question marks in literals, names and comments', async () => {
      const sql = `SELECT '?''?' AS a, ? AS "b?" /* ? */ -- ?`
      const bound = kind === 'postgres' ? sql.replace(', ? AS', ', CAST(? AS text) AS') : sql
      expect(await db.reader.first(bound, ['v'])).to.deep.equal({ a: `?'?`, 'b?': 'v' })
    })

    it('tell how many rows they changed', async () => {
      const changed = await db.write('change', async (tx) => {
        await insert(tx, 1)
        await insert(tx, 2)
        return [
          await tx.execute('UPDATE notes SET body = ?', ['y']),
          await tx.execute('DELETE FROM notes WHERE id = ?', [9]),
        ]
      })
      expect(changed).to.deep.equal([2, 0])
    })

    it('come from the query builder too, in and out of transactions', async () => {
      await db.write('insert', async (tx) => {
        await tx.run(
          tx.knex('notes').insert([
            { id: 1, body: 'a' },
            { id: 2, body: 'b' },
          ]),
        )
      })
      const { knex } = db.reader
      const rows = await db.reader.run(knex('notes').select('id').whereIn('body', ['b', 'c']))
      expect(rows).to.deep.equal([{ id: 2 }])
    })

    it('can run often with other values', async () => {
      for (let value = 0; value < 5; value++) {
        expect(await db.reader.first(`SELECT CAST(? AS BIGINT) AS v`, [value])).to.deep.equal({ v: value })
      }
    })

    it('refuse text that cannot be stored before it reaches the database', async () => {
      for (const bad of ['a\0b', 'half \ud83d']) {
        expect(await failure(db.reader.all('SELECT CAST(? AS text)', [bad]))).to.be.instanceOf(
          UnstorableTextError,
        )
      }
    })

    it('report a syntax error, and leave the connection usable', async () => {
      for (let round = 0; round < 3; round++) {
        expect(await failure(db.reader.all('SELEKT 1'))).to.be.instanceOf(Error)
        expect(await failure(db.write('bad', (tx) => tx.execute('SELEKT 1')))).to.be.instanceOf(Error)
      }
      await db.write('good', (tx) => insert(tx, 1))
      expect(await ids()).to.deep.equal([1])
    })
  })

  describe('lists and rows', () => {
    it('are one parameter, however long', async () => {
      await db.write('insert', async (tx) => {
        for (const id of [1, 2, 3]) void insert(tx, id, `"${id}"\\{},NULL`)
      })
      const { dialect } = db
      const many = Array.from({ length: 50_000 }, (_, index) => index + 2)
      const byId = `SELECT id FROM notes WHERE ${dialect.anyOf('id', 'integer')} ORDER BY id`
      expect(await db.reader.all(byId, [dialect.list(many)])).to.deep.equal([{ id: 2 }, { id: 3 }])
      expect(await db.reader.all(byId, [dialect.list([])])).to.deep.equal([])
      const byBody = `SELECT id FROM notes WHERE ${dialect.anyOf('body', 'text')} ORDER BY id`
      expect(await db.reader.all(byBody, [dialect.list(['"3"\\{},NULL', 'NULL'])])).to.deep.equal([{ id: 3 }])
    })

    it('expand to a table with the types that were asked for', async () => {
      const { dialect } = db
      const source = dialect.rowsFrom({ id: 'integer', key: 'text', score: 'real', flag: 'boolean' })
      const rows = [
        { id: 2 ** 45, key: `'"\\ ?`, score: 1.5, flag: true },
        { id: 0, key: null, score: null, flag: false },
      ]
      const found = await db.reader.all(
        `SELECT r.id + 1 AS id, r.key, r.score, r.flag FROM ${source} AS r ORDER BY 1`,
        [dialect.rows(rows)],
      )
      expect(found).to.deep.equal([
        { id: 1, key: null, score: null, flag: 0 },
        { id: 2 ** 45 + 1, key: `'"\\ ?`, score: 1.5, flag: 1 },
      ])
    })

    it('refuse text that cannot be stored, but not what only looks like it', () => {
      const { dialect } = db
      for (const bad of ['\0', '\udc00']) {
        expect(() => dialect.list([bad])).to.throw(UnstorableTextError)
        expect(() => dialect.rows([{ a: bad }])).to.throw(UnstorableTextError)
      }
      expect(() => dialect.rows([{ a: '\\u0000 \\ud800' }])).not.to.throw()
    })
  })

  describe('insertMany', () => {
    const rows = [
      { id: 1, body: '{"a": "\\u0000 \\" ü"}', score: 1.5, flag: true, data: Buffer.from([0, 255]) },
      { id: 2, body: null, score: null, flag: null, data: null },
      { id: 3, body: '', score: -0.125, flag: false, data: Buffer.alloc(0) },
    ]

    it('inserts what was given', async () => {
      await db.write('insert', (tx) => tx.insertMany('notes', rows, NOTES))
      expect(await db.reader.all('SELECT * FROM notes ORDER BY id')).to.deep.equal([
        { ...rows[0], flag: 1 },
        rows[1],
        { ...rows[2], flag: 0 },
      ])
    })

    it('fails on a conflict, ignores it or updates, as asked', async () => {
      const columns = { id: 'integer', body: 'text' } as const
      const put = (
        id: number,
        body: string,
        conflict: NonNullable<InsertOptions['conflict']>,
      ): Promise<void> =>
        db.write('insert', (tx) => tx.insertMany('notes', [{ id, body }], { columns, conflict }))
      await put(1, 'first', 'error')
      const error = await failure(put(1, 'second', 'error'))
      expect(db.dialect.isUniqueViolation(error)).to.equal(true)
      expect(db.dialect.isRetryable(error)).to.equal(false)
      await put(1, 'third', 'ignore')
      expect(await db.reader.first('SELECT body FROM notes')).to.deep.equal({ body: 'first' })
      await put(1, 'fourth', { key: ['id'], update: ['body'] })
      expect(await db.reader.first('SELECT body FROM notes')).to.deep.equal({ body: 'fourth' })
    })

    it('lets the last of several rows with one key win', async () => {
      const twice = [
        { id: 1, body: 'a' },
        { id: 2, body: 'b' },
        { id: 1, body: 'c' },
      ]
      const columns = { id: 'integer', body: 'text' } as const
      await db.write('insert', (tx) =>
        tx.insertMany('notes', twice, { columns, conflict: { key: ['id'], update: ['body'] } }),
      )
      expect(await db.reader.all('SELECT id, body FROM notes ORDER BY id')).to.deep.equal([
        { id: 1, body: 'c' },
        { id: 2, body: 'b' },
      ])
    })

    it('takes more than fits into one statement', async () => {
      const body = 'x'.repeat(100_000)
      const many = Array.from({ length: 200 }, (_, id) => ({ id, body }))
      await db.write('insert', (tx) =>
        tx.insertMany('notes', many, { columns: { id: 'integer', body: 'text' } }),
      )
      expect(
        await db.reader.first('SELECT COUNT(*) AS n, SUM(LENGTH(body)) AS size FROM notes'),
      ).to.deep.equal({
        n: 200,
        size: 20_000_000,
      })
    })

    it('does nothing for no rows', async () => {
      await db.write('insert', (tx) => tx.insertMany('no_such_table', [], NOTES))
    })

    it('refuses text that cannot be stored, and so the transaction', async () => {
      const columns = { id: 'integer', body: 'text' } as const
      const error = await failure(
        db.write('insert', async (tx) => {
          await insert(tx, 1)
          void tx.insertMany('notes', [{ id: 2, body: 'a\0' }], { columns })
        }),
      )
      expect(error).to.be.instanceOf(UnstorableTextError)
      expect(error.message).to.include('body')
      expect(await ids()).to.deep.equal([])
    })
  })

  describe('write', () => {
    it('commits what was done, with its result, and runs the hooks in order', async () => {
      const seen: string[] = []
      const result = await db.write('work', async (tx) => {
        tx.afterCommit(() => seen.push('first'))
        tx.afterRollback(() => seen.push('never'))
        await insert(tx, 1)
        tx.afterCommit(() => seen.push('second'))
        seen.push('work')
        return 'result'
      })
      expect(result).to.equal('result')
      expect(seen).to.deep.equal(['work', 'first', 'second'])
      expect(await ids()).to.deep.equal([1])
    })

    it('undoes everything when the callback throws', async () => {
      const seen: string[] = []
      const boom = new Error('boom')
      const error = await failure(
        db.write('work', async (tx) => {
          tx.afterCommit(() => seen.push('never'))
          tx.afterRollback(() => seen.push('rolled back'))
          await insert(tx, 1)
          throw boom
        }),
      )
      expect(error).to.equal(boom)
      expect(seen).to.deep.equal(['rolled back'])
      expect(await ids()).to.deep.equal([])
    })

    it('keeps the order of statements that are not awaited, and finishes them', async () => {
      await db.write('work', (tx) => {
        for (let id = 0; id < 100; id++) void insert(tx, id)
        void tx.execute('UPDATE notes SET id = id + 1000 WHERE id < 50')
        void tx.execute('DELETE FROM notes WHERE id < 1000')
        void insert(tx, 1)
        return Promise.resolve()
      })
      expect(await ids()).to.deep.equal([1, ...Array.from({ length: 50 }, (_, index) => 1000 + index)])
    })

    it('fails as a whole when a statement fails that nobody awaited', async () => {
      const error = await failure(
        db.write('work', (tx) => {
          void insert(tx, 1)
          void insert(tx, 1)
          void insert(tx, 2)
          void tx.insertMany('notes', [{ id: 3 }], { columns: { id: 'integer' } })
          void tx.first('SELECT 1')
          return Promise.resolve()
        }),
      )
      expect(db.dialect.isUniqueViolation(error)).to.equal(true)
      expect(await ids()).to.deep.equal([])
      await db.write('after', (tx) => insert(tx, 7))
      expect(await ids()).to.deep.equal([7])
    })

    it('undoes the rest when the last statement, which nobody awaited, fails', async () => {
      await db.write('first', (tx) => insert(tx, 1))
      const work = db.write('failing', async (tx) => {
        await insert(tx, 2)
        void insert(tx, 1)
      })
      expect(db.dialect.isUniqueViolation(await rejection(work))).to.equal(true)
      expect(await ids()).to.deep.equal([1])
    })

    it('fails even when the callback swallows a failed statement', async () => {
      const error = await failure(
        db.write('work', async (tx) => {
          await insert(tx, 1)
          await insert(tx, 1).catch(() => 0)
        }),
      )
      expect(db.dialect.isUniqueViolation(error)).to.equal(true)
      expect(await ids()).to.deep.equal([])
    })

    it('lets the callback make another error of a failed statement', async () => {
      const error = await failure(
        db.write('work', async (tx) => {
          await insert(tx, 1)
          await insert(tx, 1).catch(() => {
            throw new Error('taken')
          })
        }),
      )
      expect(error.message).to.equal('taken')
    })

    it('gives the first error, whatever comes after it', async () => {
      const error = await failure(
        db.write('work', async (tx) => {
          await insert(tx, 1)
          void insert(tx, 1)
          await insert(tx, 2)
        }),
      )
      expect(db.dialect.isUniqueViolation(error)).to.equal(true)
    })

    it('refuses statements after its end', async () => {
      let late: Tx | undefined
      await db.write('work', (tx) => {
        late = tx
        return insert(tx, 1)
      })
      expect(() => late?.execute('DELETE FROM notes')).to.throw(/has ended/)
      expect(() => late?.all('SELECT 1')).to.throw(/has ended/)
      expect(await ids()).to.deep.equal([1])
    })

    it('is seen by itself and, once committed, by all', async () => {
      const [inserted, checked] = [createDeferred(), createDeferred()]
      const writing = db.write('work', async (tx) => {
        await insert(tx, 1)
        expect(await tx.all('SELECT id FROM notes')).to.have.length(1)
        inserted.resolve()
        await checked.promise
      })
      await inserted.promise
      expect(await ids()).to.deep.equal([])
      checked.resolve()
      await writing
      expect(await ids()).to.deep.equal([1])
    })

    it('runs many at once without losing any', async () => {
      await db.write('seed', (tx) => tx.execute('INSERT INTO notes (id, score) VALUES (0, 0)'))
      await Promise.all(
        Array.from({ length: 40 }, (_, index) => db.write('work', (tx) => insert(tx, index + 1))),
      )
      expect(await ids()).to.have.length(41)
    })

    it('survives a hook that throws', async () => {
      const seen: string[] = []
      await db.write('work', async (tx) => {
        tx.afterCommit(() => {
          throw new Error('hook')
        })
        tx.afterCommit(() => seen.push('second'))
        await insert(tx, 1)
      })
      expect(seen).to.deep.equal(['second'])
    })

    it('retries what the database turns away, with fresh hooks', async () => {
      await db.write('seed', (tx) => tx.execute('INSERT INTO notes (id, score) VALUES (0, 0)'))
      const attempts = Array.from({ length: 3 }, () => 0)
      const commits: number[] = []
      // On PostgreSQL all three read before anyone writes; SQLite lets one at a time in.
      const allHaveRead = createDeferred()
      let reads = 0
      const bump = (worker: number): Promise<void> =>
        db.write('bump', async (tx) => {
          attempts[worker]!++
          tx.afterCommit(() => commits.push(worker))
          const row = await tx.first<{ score: number }>('SELECT score FROM notes WHERE id = 0')
          if (++reads === 3) allHaveRead.resolve()
          if (kind === 'postgres') await allHaveRead.promise
          await tx.execute('UPDATE notes SET score = ? WHERE id = 0', [(row?.score ?? 0) + 1])
        })
      await Promise.all([bump(0), bump(1), bump(2)])
      expect(await db.reader.first('SELECT score FROM notes WHERE id = 0')).to.deep.equal({ score: 3 })
      expect(commits.sort()).to.deep.equal([0, 1, 2])
      if (kind === 'postgres') expect(Math.max(...attempts)).to.be.greaterThan(1)
    })

    it('gives up after five attempts', async () => {
      let attempts = 0
      let rollbacks = 0
      const code = kind === 'sqlite' ? 'SQLITE_BUSY' : '40001'
      const error = await failure(
        db.write('work', (tx) => {
          attempts++
          tx.afterRollback(() => rollbacks++)
          return Promise.reject(Object.assign(new Error('turned away'), { code }))
        }),
      )
      expect(error.message).to.equal('turned away')
      expect([attempts, rollbacks]).to.deep.equal([5, 5])
    })
  })

  describe('read', () => {
    it('sees one state all along', async () => {
      await db.write('seed', (tx) => insert(tx, 1))
      await db.read('look', async (q) => {
        expect(await q.all('SELECT id FROM notes')).to.have.length(1)
        await db.write('more', (tx) => insert(tx, 2))
        expect(await q.all('SELECT id FROM notes')).to.have.length(1)
      })
      expect(await ids()).to.deep.equal([1, 2])
    })

    it('leaves a connection to single statements, which others may wait for', async () => {
      const gate = createDeferred()
      const waiting = Array.from({ length: 20 }, () =>
        db.read('wait', async (q) => {
          await q.first('SELECT 1 AS one')
          await gate.promise
        }),
      )
      expect(await db.reader.first('SELECT 1 AS one')).to.deep.equal({ one: 1 })
      gate.resolve()
      await Promise.all(waiting)
    })

    it('cannot write', async () => {
      const sql = 'INSERT INTO notes (id) VALUES (1) RETURNING id'
      expect(await failure(db.read('look', (q) => q.all(sql)))).to.be.instanceOf(Error)
      if (kind === 'sqlite') expect(await failure(db.reader.all(sql))).to.be.instanceOf(Error)
      expect(await ids()).to.deep.equal([])
    })

    it('fails when a statement fails', async () => {
      expect(
        await failure(
          db.read('look', async (q) => {
            await q.all('SELECT nothing FROM nowhere')
          }),
        ),
      ).to.be.instanceOf(Error)
      expect(await ids()).to.deep.equal([])
    })
  })

  it('finishes what runs before it closes, and refuses what comes after', async () => {
    const writing = db.write('work', async (tx) => {
      await insert(tx, 1)
      return 'done'
    })
    await Promise.all([writing, db.close()])
    expect(await writing).to.equal('done')
    expect((await failure(db.reader.all('SELECT 1'))).message).to.include('closed')
    expect((await failure(db.write('late', () => Promise.resolve()))).message).to.include('closed')
  })
})

async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('It was expected to fail')
}
