import { expect } from 'chai'
import { withTimeLimit } from '../../../src/util/time-limit.js'
import { ManualClock } from '../../support/manual-clock.js'
import { rejection } from '../../support/rejection.js'

describe('withTimeLimit', () => {
  it('aborts the signal when the time is over, and gives what the task gives', async () => {
    const clock = new ManualClock()
    const seen = await withTimeLimit(clock, 1_000, (signal) => {
      clock.advance(999)
      const before = signal.aborted
      clock.advance(1)
      return Promise.resolve([before, signal.aborted])
    })
    expect(seen).to.deep.equal([false, true])
  })

  it('leaves no timer behind, whatever becomes of the task', async () => {
    const clock = new ManualClock()
    expect(await withTimeLimit(clock, 1_000, () => Promise.resolve('done'))).to.equal('done')
    const error = new Error('no')
    expect(await rejection(withTimeLimit(clock, 1_000, () => Promise.reject(error)))).to.equal(error)
    expect(clock.pending).to.equal(0)
  })

  it('aborts with a signal that it is given too, and does not stay with it', async () => {
    const clock = new ManualClock()
    const outer = new AbortController()
    const seen = await withTimeLimit(
      clock,
      1_000,
      (signal) => {
        outer.abort()
        return Promise.resolve(signal.aborted)
      },
      outer.signal,
    )
    expect(seen).to.equal(true)
    const late = await withTimeLimit(clock, 1_000, (signal) => Promise.resolve(signal.aborted), outer.signal)
    expect([late, clock.pending]).to.deep.equal([true, 0])
  })
})
