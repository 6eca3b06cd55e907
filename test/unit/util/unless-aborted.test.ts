import { expect } from 'chai'
import { createDeferred } from '../../../src/util/deferred.js'
import { unlessAborted } from '../../../src/util/unless-aborted.js'
import { rejection } from '../../support/rejection.js'

const failure = (): Error => new Error('given up')

describe('unlessAborted', () => {
  it('gives what the work gives, or how it fails', async () => {
    const { signal } = new AbortController()
    expect(await unlessAborted(signal, failure, Promise.resolve(1))).to.equal(1)
    expect(await unlessAborted(undefined, failure, Promise.resolve(2))).to.equal(2)
    const error = new Error('no')
    expect(await rejection(unlessAborted(signal, failure, Promise.reject(error)))).to.equal(error)
  })

  it('fails at once when the signal aborts, and lets the work go', async () => {
    const ending = new AbortController()
    const work = createDeferred()
    const waiting = rejection(unlessAborted(ending.signal, failure, work.promise))
    ending.abort()
    expect(await waiting).to.have.property('message', 'given up')
    work.reject(new Error('nobody hears of this'))
    expect(await rejection(unlessAborted(ending.signal, failure, createDeferred().promise))).to.have.property(
      'message',
      'given up',
    )
  })
})
