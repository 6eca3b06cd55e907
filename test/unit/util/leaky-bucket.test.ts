import { expect } from 'chai'
import * as fc from 'fast-check'
import { LeakyBuckets } from '../../../src/util/leaky-bucket.js'
import { ManualClock } from '../../support/manual-clock.js'

function buckets(perSecond: number, burstCount: number, maxKeys?: number) {
  const clock = new ManualClock()
  const made = new LeakyBuckets({
    clock,
    perSecond,
    burstCount,
    ...(maxKeys === undefined ? {} : { maxKeys }),
  })
  return { clock, made }
}

describe('util/leaky-bucket', () => {
  it('gives the burst at once, and then says how long to wait', () => {
    const { made } = buckets(2, 3)
    expect([made.take('a'), made.take('a'), made.take('a')]).to.deep.equal([0, 0, 0])
    expect(made.take('a')).to.equal(500)
    expect(made.take('b')).to.equal(0)
  })

  it('gives again what it said it would', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 40 }),
        (perSecond, burstCount, attempts) => {
          const { clock, made } = buckets(perSecond, burstCount)
          for (let n = 0; n < attempts; n++) {
            const waitMs = made.take('a')
            if (waitMs === 0) continue
            expect(made.take('a')).to.equal(waitMs)
            clock.advance(waitMs)
            expect(made.take('a')).to.equal(0)
          }
        },
      ),
    )
  })

  it('never gives more than the burst and what time adds', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 100 }), (pauses) => {
        const { clock, made } = buckets(1, 5)
        let taken = 0
        let passedMs = 0
        for (const pause of pauses) {
          clock.advance(pause)
          passedMs += pause
          if (made.take('a') === 0) taken += 1
        }
        expect(taken).to.be.at.most(5 + passedMs / 1000)
      }),
    )
  })

  it('takes several units at once, and gives them back', () => {
    const { made } = buckets(1, 10)
    expect(made.take('a', 8)).to.equal(0)
    expect(made.take('a', 3)).to.equal(1000)
    made.refund('a', 8)
    expect(made.take('a', 10)).to.equal(0)
    expect(made.peek('a')).to.equal(1000)
  })

  it('says a day to those who would wait for ever', () => {
    const { made } = buckets(0, 1)
    expect(made.take('a', 2)).to.equal(24 * 60 * 60 * 1000)
    made.take('a')
    expect(made.take('a')).to.equal(24 * 60 * 60 * 1000)
  })

  it('forgets keys that have run empty, and the oldest beyond its bound', () => {
    const { clock, made } = buckets(1, 5, 10)
    for (let n = 0; n < 100; n++) made.take(`key ${n}`)
    expect(made.size).to.be.at.most(11)
    clock.advance(10_000)
    for (let n = 0; n < 20; n++) made.take('one')
    expect(made.size).to.equal(1)
  })

  it('takes on another rate', () => {
    const { made } = buckets(1, 1)
    made.take('a')
    expect(made.take('a')).to.equal(1000)
    made.setRate({ perSecond: 10, burstCount: 2 })
    expect(made.take('a')).to.equal(0)
    expect(made.take('a')).to.equal(100)
  })
})
