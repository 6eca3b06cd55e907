import { expect } from 'chai'
import fc from 'fast-check'
import type { SrvRecord } from '../../../../src/net/dns.js'
import { orderRecords, ServerResolver } from '../../../../src/net/federation/server-resolver.js'
import type { WellKnownAnswer } from '../../../../src/net/federation/well-known.js'
import type { ServerName } from '../../../../src/protocol/ids.js'

function srv(name: string, port: number, priority = 10, weight = 0): SrvRecord {
  return { name, port, priority, weight }
}

class Names {
  readonly asked: string[] = []
  readonly resolver: ServerResolver

  constructor(
    wellKnown: Readonly<Record<string, string>>,
    records: Readonly<Record<string, readonly SrvRecord[] | Error>>,
  ) {
    this.resolver = new ServerResolver({
      random: () => 0,
      wellKnown: {
        forget: () => undefined,
        lookup: (host) => {
          this.asked.push(`well-known ${host}`)
          const server = wellKnown[host] as ServerName | undefined
          const answer: WellKnownAnswer =
            server === undefined ? { kind: 'none', reason: 'nothing' } : { kind: 'delegated', server }
          return Promise.resolve(answer)
        },
      },
      dns: {
        resolveSrv: (name) => {
          this.asked.push(`srv ${name}`)
          const found = records[name] ?? []
          return found instanceof Error ? Promise.reject(found) : Promise.resolve(found)
        },
      },
    })
  }

  async target(name: string): Promise<string> {
    const { rule, targets } = await this.resolver.resolve(name as ServerName)
    return [
      rule,
      ...targets.map(({ host, port, tlsName, hostHeader }) => `${host} ${port} ${tlsName} ${hostHeader}`),
    ].join(' | ')
  }
}

describe('ServerResolver', () => {
  it('takes IP literals as they are, and asks nobody', async () => {
    const names = new Names({}, {})
    expect(await names.target('1.2.3.4')).to.equal('ip literal | 1.2.3.4 8448 1.2.3.4 1.2.3.4')
    expect(await names.target('1.2.3.4:5678')).to.equal('ip literal | 1.2.3.4 5678 1.2.3.4 1.2.3.4:5678')
    expect(await names.target('[::1]')).to.equal('ip literal | ::1 8448 ::1 [::1]')
    expect(await names.target('[2001:db8::1]:80')).to.equal(
      'ip literal | 2001:db8::1 80 2001:db8::1 [2001:db8::1]:80',
    )
    expect(names.asked).to.deep.equal([])
  })

  it('takes a port that is given, and asks nobody', async () => {
    const names = new Names({ 'host.docker.internal': 'other.test' }, {})
    expect(await names.target('host.docker.internal:12345')).to.equal(
      'explicit port | host.docker.internal 12345 host.docker.internal host.docker.internal:12345',
    )
    expect(names.asked).to.deep.equal([])
  })

  it('falls through to port 8448', async () => {
    const names = new Names({}, {})
    expect(await names.target('hs1')).to.equal('default port | hs1 8448 hs1 hs1')
    expect(names.asked).to.deep.equal(['well-known hs1', 'srv _matrix-fed._tcp.hs1', 'srv _matrix._tcp.hs1'])
  })

  it('takes SRV records, of which the certificate is for the name that was asked for', async () => {
    const names = new Names(
      {},
      {
        '_matrix-fed._tcp.a.test': [srv('m.example.org.', 443)],
        '_matrix._tcp.a.test': [srv('old.example.org.', 80)],
      },
    )
    expect(await names.target('a.test')).to.equal('srv | m.example.org 443 a.test a.test')
  })

  it('takes the older SRV records where there are no newer ones', async () => {
    const names = new Names({}, { '_matrix._tcp.a.test': [srv('m.example.org', 443)] })
    expect(await names.target('a.test')).to.equal('deprecated srv | m.example.org 443 a.test a.test')
  })

  it('counts a failed look-up as no record', async () => {
    const names = new Names({}, { '_matrix-fed._tcp.a.test': new Error('SERVFAIL') })
    expect(await names.target('a.test')).to.equal('default port | a.test 8448 a.test a.test')
    const { srv: lookups } = await names.resolver.resolve('a.test' as ServerName)
    expect(lookups[0]).to.deep.include({ name: '_matrix-fed._tcp.a.test', failure: 'SERVFAIL' })
  })

  it('has no target where SRV says that there is no such service', async () => {
    const names = new Names({}, { '_matrix-fed._tcp.a.test': [srv('.', 0)] })
    expect(await names.target('a.test')).to.equal('srv')
  })

  it('follows well-known to an address, a port, SRV records, or the default port', async () => {
    const names = new Names(
      {
        'a.test': '1.2.3.4',
        'b.test': '[::2]:99',
        'c.test': 'm.test:443',
        'd.test': 'n.test',
        'e.test': 'o.test',
        'f.test': 'p.test',
      },
      {
        '_matrix-fed._tcp.n.test': [srv('x.test', 1)],
        '_matrix._tcp.o.test': [srv('y.test', 2)],
        '_matrix-fed._tcp.f.test': [srv('never.test', 3)],
      },
    )
    expect(await names.target('a.test')).to.equal('well-known, ip literal | 1.2.3.4 8448 1.2.3.4 1.2.3.4')
    expect(await names.target('b.test')).to.equal('well-known, ip literal | ::2 99 ::2 [::2]:99')
    expect(await names.target('c.test')).to.equal('well-known, explicit port | m.test 443 m.test m.test:443')
    expect(await names.target('d.test')).to.equal('well-known, srv | x.test 1 n.test n.test')
    expect(await names.target('e.test')).to.equal('well-known, deprecated srv | y.test 2 o.test o.test')
    expect(await names.target('f.test')).to.equal('well-known, default port | p.test 8448 p.test p.test')
    // The name that is delegated to is not asked in its turn.
    expect(names.asked.filter((asked) => /well-known [mnop]\.test/.test(asked))).to.deep.equal([])
  })
})

describe('orderRecords', () => {
  const record = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    port: fc.nat(65535),
    priority: fc.nat(3),
    weight: fc.nat(10),
  })

  it('keeps all, in the order of their priorities', () => {
    fc.assert(
      fc.property(fc.array(record), fc.double({ min: 0, max: 0.999, noNaN: true }), (records, random) => {
        const ordered = orderRecords(records, () => random)
        expect(ordered).to.have.same.deep.members(records)
        const priorities = ordered.map(({ priority }) => priority)
        expect(priorities).to.deep.equal(priorities.toSorted((a, b) => a - b))
      }),
    )
  })

  it('chooses in proportion to weights', () => {
    const records = [srv('light', 1, 0, 10), srv('heavy', 2, 0, 90)]
    let heavy = 0
    for (let step = 0; step < 1000; step++) {
      if (orderRecords(records, () => step / 1000)[0]?.name === 'heavy') heavy++
    }
    expect(heavy).to.be.within(850, 950)
  })

  it('gives those without weight a small chance', () => {
    const records = [srv('heavy', 1, 0, 9), srv('none', 2, 0, 0)]
    expect(orderRecords(records, () => 0)[0]?.name).to.equal('none')
    expect(orderRecords(records, () => 0.5)[0]?.name).to.equal('heavy')
  })
})
