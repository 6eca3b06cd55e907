import { expect } from 'chai'
import { IdAllocator } from '../../../../src/storage/streams/sequences.js'
import { forEachDatabase } from '../../../support/databases.js'

forEachDatabase('IdAllocator', (open, kind) => {
  const options = { sequence: 'room_nid_seq', table: 'numbers', column: 'id' }

  it('never hands out an id twice, nor one in use', async () => {
    const db = await open()
    await db.write('create', async (tx) => {
      await tx.execute('CREATE TABLE numbers (id BIGINT PRIMARY KEY)')
      await tx.execute('INSERT INTO numbers (id) VALUES (41)')
    })
    const allocators = [await IdAllocator.open(db, options)]
    if (kind === 'postgres') allocators.push(await IdAllocator.open(db, options))
    const seen = new Set<number>()
    for (let round = 0; round < 1200; round++) {
      for (const allocator of allocators) seen.add(await allocator.next())
    }
    expect(seen.size).to.equal(1200 * allocators.length)
    expect(Math.min(...seen)).to.equal(42)
  })

  it('takes ids at once after making sure of them', async () => {
    const db = await open()
    await db.write('create', (tx) => tx.execute('CREATE TABLE numbers (id BIGINT PRIMARY KEY)'))
    const allocator = await IdAllocator.open(db, options)
    await allocator.ensure(2000)
    const taken = Array.from({ length: 2000 }, () => allocator.take())
    expect(new Set(taken).size).to.equal(2000)
    await Promise.all([allocator.next(), allocator.next(), allocator.ensure(3000)])
  })
})
