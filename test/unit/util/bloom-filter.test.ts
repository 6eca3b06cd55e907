import { expect } from 'chai'
import fc from 'fast-check'
import { BloomFilter } from '../../../src/util/bloom-filter.js'

describe('BloomFilter', () => {
  it('has everything that was added', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (keys) => {
        const filter = new BloomFilter(64)
        for (const key of keys) filter.add(key)
        return keys.every((key) => filter.mayHave(key))
      }),
    )
  })

  it('has nothing at first', () => {
    expect(new BloomFilter(1024).mayHave('')).to.equal(false)
  })

  it('takes few others for added ones, also where keys differ by little', () => {
    const filter = new BloomFilter(131_072)
    for (let index = 0; index < 20_000; index++) filter.add(`17\u0000m1764169200000.${index}`)
    let passed = 0
    for (let index = 20_000; index < 40_000; index++) {
      if (filter.mayHave(`17\u0000m1764169200000.${index}`)) passed++
    }
    expect(passed / 20_000).to.be.within(0.02, 0.07)
  })
})
