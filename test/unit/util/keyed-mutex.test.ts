import { expect } from 'chai'
import { createDeferred } from '../../../src/util/deferred.js'
import { KeyedMutex } from '../../../src/util/keyed-mutex.js'

describe('KeyedMutex', () => {
  it('runs tasks of one key one at a time, in the order in which they came', async () => {
    const mutex = new KeyedMutex()
    const seen: string[] = []
    const gate = createDeferred()
    const tasks = ['a', 'b', 'c'].map((name) =>
      mutex.run('key', async () => {
        seen.push(`${name} begins`)
        if (name === 'a') await gate.promise
        await Promise.resolve()
        seen.push(`${name} ends`)
      }),
    )
    await Promise.resolve()
    gate.resolve()
    await Promise.all(tasks)
    expect(seen).to.deep.equal(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
  })

  it('runs tasks of different keys at the same time', async () => {
    const mutex = new KeyedMutex()
    const gate = createDeferred()
    const first = mutex.run('a', () => gate.promise)
    expect(await mutex.run('b', () => Promise.resolve('done'))).to.equal('done')
    gate.resolve()
    await first
  })

  it('lets nobody overtake when a key is handed on', async () => {
    const mutex = new KeyedMutex()
    const seen: number[] = []
    const release = await mutex.acquire('key')
    const waiting = mutex.run('key', () => Promise.resolve(seen.push(1)))
    release()
    const late = mutex.run('key', () => Promise.resolve(seen.push(2)))
    await Promise.all([late, waiting])
    expect(seen).to.deep.equal([1, 2])
  })

  it('gives the key back when a task fails', async () => {
    const mutex = new KeyedMutex()
    const failed = mutex.run('key', () => Promise.reject(new Error('boom')))
    expect(await failed.catch((error: unknown) => (error as Error).message)).to.equal('boom')
    expect(await mutex.run('key', () => Promise.resolve(1))).to.equal(1)
  })

  it('lets those who wait give up, and passes them over', async () => {
    const mutex = new KeyedMutex()
    const release = await mutex.acquire('key')
    const abort = new AbortController()
    const given = mutex.acquire('key', abort.signal)
    const patient = mutex.acquire('key')
    abort.abort(new Error('enough'))
    expect(await given.catch((error: unknown) => (error as Error).message)).to.equal('enough')
    release()
    const next = await patient
    expect(mutex.isHeld('key')).to.equal(true)
    next()
    const aborted = await mutex
      .acquire('key', abort.signal)
      .catch((error: unknown) => (error as Error).message)
    expect(aborted).to.equal('enough')
    expect(mutex.isHeld('key')).to.equal(false)
  })

  it('forgets idle keys, and a second release does nothing', async () => {
    const mutex = new KeyedMutex()
    const release = await mutex.acquire('key')
    release()
    expect(mutex.size).to.equal(0)
    const other = await mutex.acquire('key')
    release()
    expect(mutex.isHeld('key')).to.equal(true)
    other()
    await Promise.all(
      Array.from({ length: 100 }, (_, index) => mutex.run(`${index % 7}`, () => Promise.resolve())),
    )
    expect(mutex.size).to.equal(0)
  })
})
