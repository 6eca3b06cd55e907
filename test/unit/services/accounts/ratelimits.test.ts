import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import { RateLimits, type RateLimitOverride } from '../../../../src/services/accounts/ratelimits.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const ALICE = { userId: '@alice:hs.test' as UserId, appserviceId: undefined }
const BRIDGE = { userId: '@bridge:hs.test' as UserId, appserviceId: 'irc' }

function limitsFor(override?: RateLimitOverride) {
  const clock = new ManualClock()
  const limits = new RateLimits(
    clock,
    { message: { perSecond: 1, burstCount: 1 } },
    {
      override: () => Promise.resolve(override),
      isAppserviceLimited: (id) => id !== 'irc',
    },
  )
  return { clock, limits }
}

describe('services/accounts/ratelimits', () => {
  it('refuses what is too much, with the time to wait', async () => {
    const { clock, limits } = limitsFor()
    await limits.consumeFor(ALICE, 'message')
    expect(await rejection(limits.consumeFor(ALICE, 'message'))).to.deep.include({
      errcode: 'M_LIMIT_EXCEEDED',
      status: 429,
      fields: { retry_after_ms: 1000 },
    })
    await limits.consumeFor(ALICE, 'message', { key: 'another' })
    clock.advance(1000)
    await limits.consumeFor(ALICE, 'message')
  })

  it('lets application services through that need not keep to limits', async () => {
    const { limits } = limitsFor()
    for (let n = 0; n < 5; n++) await limits.consumeFor(BRIDGE, 'message')
    expect(await limits.isExempt(BRIDGE)).to.equal(true)
    expect(await limits.isExempt({ ...BRIDGE, appserviceId: 'other' })).to.equal(false)
  })

  it('knows limits of single users: for messages their own, or none for anything', async () => {
    const own = limitsFor({ perSecond: 1, burstCount: 3 }).limits
    for (let n = 0; n < 3; n++) await own.consumeFor(ALICE, 'message')
    expect(await rejection(own.consumeFor(ALICE, 'message'))).to.include({ errcode: 'M_LIMIT_EXCEEDED' })
    const none = limitsFor({ perSecond: 0, burstCount: 0 }).limits
    for (let n = 0; n < 50; n++) await none.consumeFor(ALICE, 'roomCreation')
    expect(await none.isExempt(ALICE)).to.equal(true)
  })

  it('counts redactions by administrators as messages where nothing else is said', () => {
    const { limits } = limitsFor()
    limits.consume('adminRedaction', 'a')
    expect(() => limits.consume('adminRedaction', 'a')).to.throw()
  })

  it('gives back, looks without taking, and takes on other settings', () => {
    const { limits } = limitsFor()
    limits.check('message', 'a')
    limits.consume('message', 'a')
    expect(() => limits.check('message', 'a')).to.throw()
    limits.refund('message', 'a')
    const limiter = limits.limiter('message')
    limiter.consume('a')
    expect(() => limiter.consume('a')).to.throw()
    limits.update({ message: { perSecond: 1, burstCount: 10 } })
    limiter.consume('a')
  })
})
