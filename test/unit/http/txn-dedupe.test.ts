import { expect } from 'chai'
import { TxnDedupe, TXN_LIFETIME_MS, txnKey } from '../../../src/http/txn-dedupe.js'
import type { Requester } from '../../../src/services/accounts/requester.js'
import { createDeferred } from '../../../src/util/deferred.js'
import { ManualClock } from '../../support/manual-clock.js'
import { rejection } from '../../support/rejection.js'

const always = (): boolean => true

describe('http/txn-dedupe', () => {
  it('answers once, also what arrives meanwhile', async () => {
    const dedupe = new TxnDedupe(new ManualClock())
    const first = createDeferred<number>()
    let calls = 0
    const answer = (): Promise<number> => {
      calls += 1
      return first.promise
    }
    const both = [dedupe.once('k', answer, always), dedupe.once('k', answer, always)]
    first.resolve(7)
    expect(await Promise.all(both)).to.deep.equal([7, 7])
    expect(await dedupe.once('k', () => Promise.resolve(8), always)).to.equal(7)
    expect(await dedupe.once('other', () => Promise.resolve(8), always)).to.equal(8)
    expect(calls).to.equal(1)
  })

  it('tries anew what failed or is not final', async () => {
    const dedupe = new TxnDedupe(new ManualClock())
    const failing = rejection(dedupe.once('k', () => Promise.reject(new Error('no')), always))
    expect(await failing).to.have.property('message', 'no')
    expect(
      await dedupe.once(
        'k',
        () => Promise.resolve(401),
        (status) => status < 300,
      ),
    ).to.equal(401)
    expect(
      await dedupe.once(
        'k',
        () => Promise.resolve(200),
        (status) => status < 300,
      ),
    ).to.equal(200)
    expect(await dedupe.once('k', () => Promise.resolve(500), always)).to.equal(200)
  })

  it('forgets after its time', async () => {
    const clock = new ManualClock()
    const dedupe = new TxnDedupe(clock)
    await dedupe.once('k', () => Promise.resolve(1), always)
    clock.advance(TXN_LIFETIME_MS)
    expect(await dedupe.once('k', () => Promise.resolve(2), always)).to.equal(2)
    expect(dedupe.size).to.equal(1)
  })

  it('keeps devices, tokens, application services and endpoints apart', () => {
    const requester = {
      userId: '@a:b',
      deviceId: 'D',
      tokenId: 1,
      appserviceId: undefined,
    } as unknown as Requester
    const keys = [
      txnKey(requester, 'op', ['x', 't']),
      txnKey({ ...requester, deviceId: 'E' as Requester['deviceId'] }, 'op', ['x', 't']),
      txnKey({ ...requester, deviceId: undefined }, 'op', ['x', 't']),
      txnKey({ ...requester, deviceId: undefined, tokenId: 2 }, 'op', ['x', 't']),
      txnKey({ ...requester, deviceId: undefined, tokenId: undefined, tokenHash: 'a' }, 'op', ['x', 't']),
      txnKey({ ...requester, deviceId: undefined, tokenId: undefined, tokenHash: 'b' }, 'op', ['x', 't']),
      txnKey({ ...requester, deviceId: undefined, appserviceId: 'irc' }, 'op', ['x', 't']),
      txnKey(requester, 'other', ['x', 't']),
      txnKey(requester, 'op', ['y', 't']),
      txnKey(requester, 'op', ['x', 'u']),
    ]
    expect(new Set(keys).size).to.equal(keys.length)
  })
})
