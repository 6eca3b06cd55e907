import { expect } from 'chai'
import { BucketAttemptLimiter } from '../../../../src/services/accounts/attempt-limiter.js'
import { ManualClock } from '../../../support/manual-clock.js'

describe('a limiter of attempts', () => {
  it('allows a burst, then as many as the rate allows, by key', () => {
    const clock = new ManualClock()
    const limiter = new BucketAttemptLimiter(clock, { perSecond: 0.5, burstCount: 2 })
    limiter.consume('alice')
    limiter.consume('alice')
    expect(() => {
      limiter.consume('alice')
    })
      .to.throw()
      .with.deep.property('fields', { retry_after_ms: 2000 })
    limiter.consume('bob')
    clock.advance(1999)
    expect(() => {
      limiter.consume('alice')
    }).to.throw()
    clock.advance(1)
    limiter.consume('alice')
    expect(() => {
      limiter.consume('alice')
    }).to.throw()
  })

  it('forgets attempts that turned out not to count', () => {
    const limiter = new BucketAttemptLimiter(new ManualClock(), { perSecond: 0, burstCount: 1 })
    for (let i = 0; i < 3; i++) {
      limiter.consume('alice')
      limiter.refund('alice')
    }
    limiter.refund('alice')
    limiter.consume('alice')
    expect(() => {
      limiter.consume('alice')
    })
      .to.throw()
      .with.property('errcode', 'M_LIMIT_EXCEEDED')
  })
})
