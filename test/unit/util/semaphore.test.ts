import { expect } from 'chai'
import { Semaphore } from '../../../src/util/semaphore.js'

describe('a semaphore', () => {
  it('lets its limit run, the others in order, and goes on after a failure', async () => {
    const semaphore = new Semaphore(2)
    const started: number[] = []
    const finish: (() => void)[] = []
    const tasks = [0, 1, 2, 3].map((n) =>
      semaphore.run(async () => {
        started.push(n)
        await new Promise<void>((resolve, reject) => {
          finish[n] = () => {
            if (n === 0) reject(new Error('failed'))
            else resolve()
          }
        })
        return n
      }),
    )
    const results = Promise.allSettled(tasks)
    await Promise.resolve()
    expect(started).to.deep.equal([0, 1])
    expect(semaphore.queueLength).to.equal(2)
    for (const n of [0, 1, 2, 3]) {
      finish[n]?.()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(started).to.deep.equal([0, 1, 2, 3])
    expect((await results).map(({ status }) => status)).to.deep.equal([
      'rejected',
      'fulfilled',
      'fulfilled',
      'fulfilled',
    ])
    expect(await semaphore.run(() => Promise.resolve('again'))).to.equal('again')
  })
})
