import { expect } from 'chai'
import { Batcher } from '../../../src/util/batcher.js'
import { createDeferred } from '../../../src/util/deferred.js'

describe('Batcher', () => {
  it('makes one batch of what is added in a turn, and the next of what comes meanwhile', async () => {
    const batches: (readonly number[])[] = []
    const gate = createDeferred()
    const batcher = new Batcher<number>(
      async (items) => {
        batches.push(items)
        await gate.promise
      },
      { maxItems: 10 },
    )
    const first = [batcher.add(1), batcher.add(2)]
    await Promise.resolve()
    await Promise.resolve()
    const second = [batcher.add(3), batcher.add(4)]
    gate.resolve()
    await Promise.all([...first, ...second])
    expect(batches).to.deep.equal([
      [1, 2],
      [3, 4],
    ])
  })

  it('makes no batch larger than allowed', async () => {
    const sizes: number[] = []
    const batcher = new Batcher<number>(
      (items) => {
        sizes.push(items.length)
        return Promise.resolve()
      },
      { maxItems: 2 },
    )
    await Promise.all([1, 2, 3, 4, 5].map((item) => batcher.add(item)))
    expect(sizes).to.deep.equal([2, 2, 1])
  })

  it('tries the items of a failed batch one by one', async () => {
    const done: number[] = []
    const batcher = new Batcher<number>(
      (items) => {
        if (items.includes(2)) return Promise.reject(new Error('two'))
        done.push(...items)
        return Promise.resolve()
      },
      { maxItems: 10 },
    )
    const results = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)))
    expect(results.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled'])
    expect(done).to.deep.equal([1, 3])
    await batcher.drain()
  })
})
