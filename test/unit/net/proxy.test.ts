import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { expect } from 'chai'
import { createSystemDns } from '../../../src/net/dns.js'
import { HttpClient } from '../../../src/net/http-client.js'
import { IpPolicy } from '../../../src/net/ip-policy.js'
import { createProxyChooser, type ProxyChooser, type ProxySettings } from '../../../src/net/proxy.js'
import { systemClock } from '../../../src/util/clock.js'
import { startHttpServer } from '../../support/http-servers.js'
import { rejection } from '../../support/rejection.js'
import { TestAuthority } from '../../support/test-authority.js'

const PROXY = new URL('http://proxy.test:3128')
const SECURE = new URL('http://secure.test:3128')

describe('createProxyChooser', () => {
  function chooser(settings: Partial<ProxySettings>): ProxyChooser {
    return createProxyChooser({ httpProxy: PROXY, httpsProxy: SECURE, directHosts: [], ...settings })!
  }

  it('chooses by what is spoken', () => {
    expect(chooser({})({ host: 'a.test', isTls: false })).to.equal(PROXY)
    expect(chooser({})({ host: 'a.test', isTls: true })).to.equal(SECURE)
    expect(chooser({ httpsProxy: undefined })({ host: 'a.test', isTls: true })).to.equal(undefined)
  })

  it('is not there where there is no proxy', () => {
    expect(createProxyChooser({ httpProxy: undefined, httpsProxy: undefined, directHosts: [] })).to.equal(
      undefined,
    )
  })

  it('leaves out hosts, their subdomains, and addresses', () => {
    const choose = chooser({ directHosts: ['a.test', '.b.test', '*.c.test', '10.0.0.0/8', '::1'] })
    const isDirect = (host: string): boolean => choose({ host, isTls: true }) === undefined
    for (const host of ['a.test', 'x.A.test', 'b.test', 'y.b.test', 'z.c.test', '10.1.2.3', '::1']) {
      expect(isDirect(host), host).to.be.true
    }
    for (const host of ['xa.test', 'test', '11.0.0.1', '::2']) expect(isDirect(host), host).to.be.false
    expect(chooser({ directHosts: ['*'] })({ host: '1.2.3.4', isTls: true })).to.equal(undefined)
  })
})

describe('requests through a proxy', () => {
  let proxy: Server
  let asked: string[]
  let credentials: string | undefined
  let refuses: boolean
  let client: HttpClient
  const authority = new TestAuthority()

  beforeEach(async () => {
    asked = []
    refuses = false
    proxy = createServer().listen(0, '127.0.0.1')
    proxy.on('connect', (request, socket) => {
      asked.push(request.url ?? '')
      credentials = request.headers['proxy-authorization']
      if (refuses) {
        socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
        return
      }
      const other = connect(Number(request.url?.split(':').at(-1)), '127.0.0.1')
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      other.on('error', () => socket.destroy())
      socket.on('error', () => other.destroy())
      socket.pipe(other).pipe(socket)
    })
    await once(proxy, 'listening')
    const url = new URL(`http://user:pass%21@127.0.0.1:${(proxy.address() as AddressInfo).port}`)
    client = new HttpClient({
      dns: createSystemDns(),
      // Which addresses are allowed is the proxy's business.
      policy: new IpPolicy({ deniedRanges: ['0.0.0.0/0'], allowedRanges: [] }),
      clock: systemClock,
      tls: { verify: true, authorities: [authority.certificate] },
      proxy: createProxyChooser({ httpProxy: url, httpsProxy: url, directHosts: [] }),
      userAgent: 'test',
    })
  })
  afterEach(async () => {
    await client.close()
    proxy.close()
  })

  it('reach their targets, by their names', async () => {
    const { certificate, privateKey } = authority.issue(['target.test'])
    const tls = { cert: certificate, key: privateKey }
    await using target = await startHttpServer((request, response) => response.end(request.headers.host), {
      tls,
    })
    await using plain = await startHttpServer((_request, response) => response.end('plain'))
    const secure = await client.request({ method: 'GET', url: `https://target.test:${target.port}/` })
    expect(secure.body.toString()).to.equal(`target.test:${target.port}`)
    const other = await client.request({ method: 'GET', url: `http://plain.test:${plain.port}/` })
    expect(other.body.toString()).to.equal('plain')
    expect(asked).to.deep.equal([`target.test:${target.port}`, `plain.test:${plain.port}`])
    expect(credentials).to.equal(`Basic ${Buffer.from('user:pass!').toString('base64')}`)
  })

  it('fail where the proxy refuses', async () => {
    refuses = true
    const error = await rejection(client.request({ method: 'GET', url: 'https://target.test/' }))
    expect(error).to.include({ kind: 'unreachable' })
    expect((error as Error).message).to.contain('403')
  })
})
