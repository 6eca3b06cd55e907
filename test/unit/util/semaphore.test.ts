import { expect } from 'chai'
import { nextTurn } from '../../../src/util/clock.js'
import { createDeferred } from '../../../src/util/deferred.js'
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

  it('gives the place of a task that waits for something else to others, and gives it one again', async () => {
    const semaphore = new Semaphore(1)
    const [answer, end] = [createDeferred<string>(), createDeferred<undefined>()]
    const log: string[] = []
    const first = semaphore.run(async () => {
      log.push(await semaphore.release(() => answer.promise))
    })
    const second = semaphore.run(async () => {
      log.push('second begins')
      await end.promise
      log.push('second ends')
    })
    await nextTurn()
    answer.resolve('first goes on')
    await nextTurn()
    expect(log).to.deep.equal(['second begins'])
    end.resolve(undefined)
    await Promise.all([first, second])
    expect(log).to.deep.equal(['second begins', 'second ends', 'first goes on'])
    const failing = semaphore.run(() => semaphore.release(() => Promise.reject(new Error('no'))))
    expect(await failing.catch((error: unknown) => String(error))).to.equal('Error: no')
    expect(await semaphore.run(() => Promise.resolve('again'))).to.equal('again')
  })
})
