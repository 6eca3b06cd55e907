import { expect } from 'chai'
import { createDeferred } from '../../../src/util/deferred.js'

describe('createDeferred', () => {
  it('is settled from outside, once', async () => {
    const done = createDeferred<number>()
    done.resolve(1)
    done.resolve(2)
    expect(await done.promise).to.equal(1)
    const failed = createDeferred()
    failed.reject(new Error('boom'))
    expect(await failed.promise.catch((error: unknown) => (error as Error).message)).to.equal('boom')
  })
})
