import { expect } from 'chai'
import fc from 'fast-check'
import { coverPosition, covers, decodeReach, encodeReach } from '../../../src/storage/auth-reach.js'

describe('auth reach', () => {
  it('covers what was added and all before it in the chain', () => {
    const reach = new Map<number, number>()
    coverPosition(reach, { chainNid: 7, seq: 3, reach: new Map([[1, 5]]) })
    coverPosition(reach, { chainNid: 1, seq: 2, reach: new Map() })
    expect([...reach]).to.have.deep.members([
      [1, 5],
      [7, 3],
    ])
    expect(covers(reach, { chainNid: 7, seq: 2 })).to.equal(true)
    expect(covers(reach, { chainNid: 7, seq: 4 })).to.equal(false)
    expect(covers(reach, { chainNid: 9, seq: 1 })).to.equal(false)
  })

  it('reads back from bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.maxSafeNat(), fc.integer({ min: 1 }))), (pairs) => {
        const reach = new Map(pairs)
        expect(decodeReach(encodeReach(reach))).to.deep.equal(new Map([...reach].sort((a, b) => a[0] - b[0])))
      }),
    )
  })
})
