import { expect } from 'chai'
import { candidateGroups, localpartFor } from '../../../../src/services/sign-on/localparts.js'
import { networkOf } from '../../../../src/services/sign-on/sign-on-attempts.js'

describe('names of people who sign on', () => {
  it('become localparts of which each is one person’s, but for the case', () => {
    for (const [name, localpart] of [
      ['alice', 'alice'],
      ['Alice.B-c/d_e+f', 'alice.b-c/d_e+f'],
      ['a@b.c', 'a=40b.c'],
      ['a=40b.c', 'a=3d40b.c'],
      ['ü', '=c3=bc'],
      ['Ü', '=c3=9c'],
      ['_a_', '=5fa_'],
      ['a b:c', 'a=20b=3ac'],
      ['', ''],
    ] as const) {
      expect(localpartFor(name)).to.equal(localpart)
    }
  })

  it('are followed by numbers, a thousand of them at most', () => {
    const groups = [...candidateGroups('a')]
    expect(groups.map(({ length }) => length)).to.deep.equal([1, 9, 90, 900])
    const all = groups.flat()
    expect([all[0], all[1], all[9], all[10], all.at(-1)]).to.deep.equal(['a', 'a1', 'a9', 'a10', 'a999'])
    expect(new Set(all).size).to.equal(1000)
  })
})

describe('networks of addresses', () => {
  it('are addresses of IPv4, and the first half of those of IPv6', () => {
    for (const [address, network] of [
      ['192.0.2.1', '192.0.2.1'],
      ['2001:db8:1:2:3:4:5:6', '2001:0db8:0001:0002'],
      ['2001:db8:1:2::6', '2001:0db8:0001:0002'],
      ['2001:db8::6', '2001:0db8:0000:0000'],
      ['::1', '0000:0000:0000:0000'],
      ['', ''],
    ] as const) {
      expect(networkOf(address)).to.equal(network)
    }
  })
})
