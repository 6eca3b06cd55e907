import { expect } from 'chai'
import { CachingDns, createSystemDns, type Dns, type SrvRecord } from '../../../src/net/dns.js'
import { createDeferred } from '../../../src/util/deferred.js'
import { ManualClock } from '../../support/manual-clock.js'
import { rejection } from '../../support/rejection.js'

const RECORD: SrvRecord = { name: 'a.test', port: 1, priority: 1, weight: 1 }

class CountingDns implements Dns {
  lookups = 0
  queries = 0
  fails = false
  srvGate: Promise<unknown> = Promise.resolve()

  lookup() {
    this.lookups++
    if (this.fails) return Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }))
    return Promise.resolve([{ address: '192.0.2.1', family: 4 } as const])
  }

  async resolveSrv() {
    this.queries++
    await this.srvGate
    return [RECORD]
  }
}

describe('CachingDns', () => {
  let clock: ManualClock
  let inner: CountingDns
  let dns: CachingDns
  beforeEach(() => {
    clock = new ManualClock()
    inner = new CountingDns()
    dns = new CachingDns(inner, clock)
  })

  it('asks once for what many want to know at a time', async () => {
    await Promise.all([dns.lookup('a.test'), dns.lookup('a.test'), dns.lookup('b.test')])
    expect(inner.lookups).to.equal(2)
  })

  it('remembers addresses for a minute and SRV records for five', async () => {
    for (const [ms, lookups, queries] of [
      [0, 1, 1],
      [59_000, 1, 1],
      [2_000, 2, 1],
      [240_000, 3, 2],
      [240_000, 4, 2],
    ] as const) {
      clock.advance(ms)
      expect(await dns.lookup('a.test')).to.have.length(1)
      expect(await dns.resolveSrv('a.test')).to.deep.equal([RECORD])
      expect([inner.lookups, inner.queries]).to.deep.equal([lookups, queries])
    }
  })

  it('lets only the first wait for name servers that do not answer', async () => {
    inner.srvGate = Promise.reject(Object.assign(new Error('no'), { code: 'ETIMEOUT' }))
    expect(await rejection(dns.resolveSrv('a.test'))).to.have.property('code', 'ETIMEOUT')
    clock.advance(61_000)
    const gate = createDeferred()
    inner.srvGate = gate.promise
    for (let count = 0; count < 3; count++) {
      expect(await rejection(dns.resolveSrv('a.test'))).to.have.property('code', 'ETIMEOUT')
    }
    expect(inner.queries).to.equal(2)
    gate.resolve()
    await clock.advanceAsync(0)
    expect(await dns.resolveSrv('a.test')).to.deep.equal([RECORD])
    clock.advance(2 * 60 * 60_000)
    inner.srvGate = Promise.resolve()
    expect(await dns.resolveSrv('a.test')).to.deep.equal([RECORD])
    expect(inner.queries).to.equal(3)
  })

  it('forgets failures after seconds', async () => {
    inner.fails = true
    expect(await rejection(dns.lookup('a.test'))).to.have.property('code', 'ENOTFOUND')
    expect(await rejection(dns.lookup('a.test'))).to.have.property('code', 'ENOTFOUND')
    expect(inner.lookups).to.equal(1)
    inner.fails = false
    clock.advance(16_000)
    expect(await dns.lookup('a.test')).to.have.length(1)
  })
})

describe("the system's DNS", () => {
  it('knows the names of the hosts file', async () => {
    const addresses = (await createSystemDns().lookup('localhost')).map(({ address }) => address)
    expect(addresses.some((address) => address === '127.0.0.1' || address === '::1')).to.be.true
  })

  it('takes addresses as they are', async () => {
    expect(await createSystemDns().lookup('192.0.2.7')).to.deep.equal([{ address: '192.0.2.7', family: 4 }])
  })
})
