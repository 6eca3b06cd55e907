import { expect } from 'chai'
import { IpPolicy } from '../../../src/net/ip-policy.js'

const POLICY = new IpPolicy({
  deniedRanges: [
    '127.0.0.0/8',
    '10.0.0.0/8',
    '192.168.0.0/16',
    '::1/128',
    'fc00::/7',
    '0.0.0.0/32',
    '::/128',
  ],
  allowedRanges: ['192.168.7.0/24', 'fc00:1::/32', '10.1.2.3'],
})

describe('IpPolicy', () => {
  for (const address of ['127.0.0.1', '10.0.0.1', '192.168.1.1', '::1', 'fd00::1', '0.0.0.0', '::']) {
    it(`denies ${address}`, () => expect(POLICY.allows(address)).to.be.false)
  }

  for (const address of ['8.8.8.8', '2001:4860:4860::8888', '192.168.7.20', 'fc00:1:2::3', '10.1.2.3']) {
    it(`allows ${address}`, () => expect(POLICY.allows(address)).to.be.true)
  }

  for (const address of [
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:ffff:10.0.0.1',
    '::10.0.0.1',
    '64:ff9b::10.0.0.1',
    '2002:0a00:0001::',
    'fd00::1%eth0',
  ]) {
    it(`denies ${address}, which leads to an address that is denied`, () =>
      expect(POLICY.allows(address)).to.be.false)
  }

  it('allows addresses of IPv4 in another form', () => {
    expect(POLICY.allows('::ffff:8.8.8.8')).to.be.true
    expect(POLICY.allows('::ffff:192.168.7.1')).to.be.true
  })

  it('denies what is no address', () => {
    for (const text of ['', 'localhost', '1.2.3', '127.1', '0x7f.1', '[::1]']) {
      expect(POLICY.allows(text), text).to.be.false
    }
  })

  it('allows everything where nothing is denied', () => {
    const open = new IpPolicy({ deniedRanges: [], allowedRanges: [] })
    for (const address of ['127.0.0.1', '::1', '10.0.0.1']) expect(open.allows(address), address).to.be.true
  })

  it('does not take what is no range', () => {
    expect(() => new IpPolicy({ deniedRanges: ['everything'], allowedRanges: [] })).to.throw(RangeError)
  })
})
