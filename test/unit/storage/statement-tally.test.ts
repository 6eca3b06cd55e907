import { expect } from 'chai'
import { createMetrics } from '../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../support/databases.js'
import { rejection } from '../../support/rejection.js'
import { StatementCounts } from '../../support/statement-counts.js'

forEachDatabase('statement tally', (open) => {
  it('counts what is read and what is written, and nothing that frames a transaction', async () => {
    const metrics = createMetrics()
    const db = await open({ metrics })
    const counts = new StatementCounts(() => metrics.render())
    const setUp = await counts.during(() =>
      db.write('create', (tx) => tx.execute('CREATE TABLE notes (id BIGINT PRIMARY KEY)')),
    )
    expect(setUp).to.deep.equal({ reads: 0, rows: 0, writes: 1 })
    const written = await counts.during(() =>
      db.write('insert', async (tx) => {
        const rows = [1, 2, 3].map((id) => ({ id }))
        await tx.insertMany('notes', rows, { columns: { id: 'integer' } })
        await tx.all('SELECT id FROM notes WHERE id > ?', [1])
      }),
    )
    expect(written).to.deep.equal({ reads: 1, rows: 2, writes: 1 })
    const read = await counts.during(async () => {
      await db.reader.all('SELECT id FROM notes')
      await db.read('read', (q) => q.first('SELECT id FROM notes WHERE id = ?', [9]))
    })
    expect(read).to.deep.equal({ reads: 2, rows: 3, writes: 0 })
  })

  it('leaves out what failed', async () => {
    const metrics = createMetrics()
    const db = await open({ metrics })
    const counts = new StatementCounts(() => metrics.render())
    const failed = await counts.during(() => rejection(db.reader.all('SELECT nothing FROM nowhere')))
    expect(failed).to.deep.equal({ reads: 0, rows: 0, writes: 0 })
  })
})
