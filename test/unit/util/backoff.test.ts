import { expect } from 'chai'
import { backoffMs } from '../../../src/util/backoff.js'

describe('backoffMs', () => {
  it('grows up to its limit', () => {
    const waits = [1, 2, 3, 4, 5].map((failures) =>
      backoffMs(failures, { baseMs: 100, maxMs: 500, jitter: 0 }),
    )
    expect(waits).to.deep.equal([100, 200, 400, 500, 500])
  })

  it('takes off a random part, at most as much as the jitter says', () => {
    const options = { baseMs: 100, maxMs: 1000, jitter: 0.5 }
    expect(backoffMs(1, { ...options, random: () => 0 })).to.equal(100)
    expect(backoffMs(1, { ...options, random: () => 0.999999 })).to.equal(50)
    expect(backoffMs(2, { ...options, factor: 3, random: () => 0 })).to.equal(300)
  })

  it('stays finite after very many failures', () => {
    expect(backoffMs(100_000, { baseMs: 1000, maxMs: 60_000, jitter: 0 })).to.equal(60_000)
  })
})
