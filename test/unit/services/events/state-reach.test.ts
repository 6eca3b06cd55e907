import { expect } from 'chai'
import fc from 'fast-check'
import { StateReach } from '../../../../src/services/events/state-reach.js'
import { coverPosition, type AuthChainPosition } from '../../../../src/storage/auth-reach.js'

const CHAINS = 6

const position = fc.record({
  chainNid: fc.integer({ min: 1, max: CHAINS }),
  seq: fc.integer({ min: 1, max: 2 ** 20 }),
  reach: fc
    .array(fc.tuple(fc.integer({ min: 1, max: CHAINS }), fc.integer({ min: 1, max: 2 ** 20 })))
    .map((pairs): AuthChainPosition['reach'] => new Map(pairs)),
})

const positions = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 2 ** 31 - 1 }), position), { selector: ([nid]) => nid })
  .map((pairs) => new Map(pairs))

describe('StateReach', () => {
  it('says how far the events cover each chain, whichever of them are left out', () => {
    const property = fc.property(positions, fc.array(fc.boolean()), (all, choices) => {
      const reach = new StateReach(all)
      const left = new Map([...all].filter((_, index) => choices[index] !== true))
      const { added, removed } = reach.compare(new Set(left.keys()))
      expect(added).to.deep.equal([])
      expect(removed.size).to.equal(all.size - left.size)
      const expected = new Map<number, number>()
      for (const one of left.values()) coverPosition(expected, one)
      for (let chain = 1; chain <= CHAINS; chain++) {
        expect(reach.highest(chain, removed)).to.equal(expected.get(chain) ?? 0)
      }
    })
    fc.assert(property)
  })

  it('tells which events it does not know', () => {
    const reach = new StateReach(new Map([[7, { chainNid: 1, seq: 1, reach: new Map() }]]))
    expect(reach.compare(new Set([8, 9]))).to.deep.equal({ added: [8, 9], removed: new Set([7]) })
    expect(reach.size).to.equal(1)
  })
})
