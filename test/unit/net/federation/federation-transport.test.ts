import type { RequestListener } from 'node:http'
import type { ServerOptions } from 'node:https'
import { expect } from 'chai'
import { createSystemDns, type Dns } from '../../../../src/net/dns.js'
import type { TlsSettings } from '../../../../src/net/dialer.js'
import { FederationTransport } from '../../../../src/net/federation/federation-transport.js'
import { ServerResolver } from '../../../../src/net/federation/server-resolver.js'
import { IpPolicy } from '../../../../src/net/ip-policy.js'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { systemClock } from '../../../../src/util/clock.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { MISBEHAVIOUR, startHttpServer, type HttpServer } from '../../../support/http-servers.js'
import { rejection } from '../../../support/rejection.js'
import { TestAuthority } from '../../../support/test-authority.js'

const authority = new TestAuthority()
const OPEN = new IpPolicy({ deniedRanges: [], allowedRanges: [] })

function tlsOf(names: readonly string[], notAfterTs?: number): ServerOptions {
  const { certificate, privateKey } = authority.issue(names, notAfterTs === undefined ? {} : { notAfterTs })
  return { cert: certificate, key: privateKey }
}

describe('FederationTransport', () => {
  const servers: HttpServer[] = []
  const transports: FederationTransport[] = []

  async function serve(
    handler: RequestListener,
    options: { names?: readonly string[]; tls?: ServerOptions; host?: string } = {},
  ): Promise<HttpServer> {
    const { names = ['a.test'], tls = tlsOf(names), host } = options
    const server = await startHttpServer(handler, { tls, ...(host === undefined ? {} : { host }) })
    servers.push(server)
    return server
  }

  /** Reaches `a.test` at these ports, in order. */
  function reach(
    ports: readonly number[],
    options: { tls?: Partial<TlsSettings>; policy?: IpPolicy } = {},
  ): FederationTransport {
    const dns: Dns = {
      lookup: (hostname) =>
        hostname.endsWith('.test')
          ? Promise.resolve([{ address: '127.0.0.1', family: 4 }])
          : createSystemDns().lookup(hostname),
      resolveSrv: () =>
        Promise.resolve(ports.map((port, index) => ({ name: 'x.test', port, priority: index, weight: 0 }))),
    }
    const resolver = new ServerResolver({
      dns,
      random: () => 0,
      wellKnown: {
        lookup: () => Promise.resolve({ kind: 'none', reason: 'nothing' }),
        forget: () => undefined,
      },
    })
    const transport = new FederationTransport({
      dns,
      resolver,
      policy: options.policy ?? OPEN,
      tls: { verify: true, authorities: [authority.certificate], ...options.tls },
      clock: systemClock,
      userAgent: 'mxhs test',
    })
    transports.push(transport)
    return transport
  }

  async function ask(
    transport: FederationTransport,
    options: {
      serverName?: string
      method?: 'GET' | 'PUT' | 'POST'
      timeoutMs?: number
      maxBytes?: number
    } = {},
  ): Promise<string> {
    const { serverName = 'a.test', method = 'GET', timeoutMs = 10_000, maxBytes = 100_000 } = options
    const { status, body } = await transport.request({
      serverName: serverName as ServerName,
      method,
      path: '/_matrix/x',
      headers: {},
      body: method === 'GET' ? undefined : '{}',
      timeoutMs,
      maxBytes,
    })
    return `${status} ${body.toString()}`
  }

  async function failure(...args: Parameters<typeof ask>): Promise<string> {
    return ((await rejection(ask(...args))) as { kind: string }).kind
  }

  afterEach(async () => {
    await Promise.all(transports.splice(0).map((transport) => transport.close()))
    await Promise.all(servers.splice(0).map((server) => server[Symbol.asyncDispose]()))
  })

  it('sends to where a name leads, under that name', async () => {
    const { port } = await serve((request, response) => {
      const { servername } = request.socket as unknown as { servername: string }
      response.end(`${request.headers.host ?? ''} ${servername} ${request.url ?? ''}`)
    })
    expect(await ask(reach([port]))).to.equal('200 a.test a.test /_matrix/x')
  })

  it('keeps connections', async () => {
    const server = await serve((_request, response) => response.end('ok'))
    const transport = reach([server.port])
    for (let count = 0; count < 5; count++) expect(await ask(transport)).to.equal('200 ok')
    // The first may not be free again when the second comes.
    expect(server.connections()).to.be.below(3)
  })

  it('tries again where a kept connection has just been closed, but not what is not to be done twice', async () => {
    let requests = 0
    const server = await serve((request, response) => {
      requests++
      if (requests % 2 === 0) request.socket.destroy()
      else response.end(String(requests))
    })
    const transport = reach([server.port])
    expect(await ask(transport)).to.equal('200 1')
    expect(await ask(transport, { method: 'PUT' })).to.equal('200 3')
    expect(await failure(transport, { method: 'POST' })).to.equal('unreachable')
    expect(requests).to.equal(4)
  })

  it('tries all places in their order', async () => {
    const { port } = await serve((_request, response) => response.end('last'))
    const { port: wrong } = await serve((_request, response) => response.end('wrong'), { names: ['b.test'] })
    expect(await ask(reach([1, wrong, port]))).to.equal('200 last')
  })

  it('says why the last place gave no answer', async () => {
    expect(await failure(reach([1]))).to.equal('unreachable')
    expect(await failure(reach([1, 1]))).to.equal('unreachable')
  })

  it('reaches addresses and ports that stand in the name', async () => {
    const handler: RequestListener = (request, response) => response.end(request.headers.host)
    const { port } = await serve(handler, { names: ['127.0.0.1'] })
    expect(await ask(reach([]), { serverName: `127.0.0.1:${port}` })).to.equal(`200 127.0.0.1:${port}`)
    const { port: local } = await serve(handler, { names: ['localhost'] })
    expect(await ask(reach([]), { serverName: `localhost:${local}` })).to.equal(`200 localhost:${local}`)
  })

  it('reaches addresses of IPv6', async function () {
    const found = await createSystemDns()
      .lookup('::1')
      .catch(() => [])
    if (found.length === 0) this.skip()
    const options = { names: ['::1'], host: '::1' }
    const { port } = await serve((request, response) => response.end(request.headers.host), options)
    expect(await ask(reach([]), { serverName: `[::1]:${port}` })).to.equal(`200 [::1]:${port}`)
  })

  describe('with certificates', () => {
    const answer: RequestListener = (_request, response) => response.end('answered')

    it('of another name refuses, whatever the SRV record says', async () => {
      const { port } = await serve(answer, { names: ['x.test'] })
      expect(await failure(reach([port]))).to.equal('certificate')
    })

    it('that are out of date refuses', async () => {
      const { port } = await serve(answer, { tls: tlsOf(['a.test'], Date.UTC(2021, 0, 1)) })
      expect(await failure(reach([port]))).to.equal('certificate')
    })

    it('of authorities that it does not know refuses', async () => {
      const stranger = new TestAuthority().issue(['a.test'])
      const { port } = await serve(answer, { tls: { cert: stranger.certificate, key: stranger.privateKey } })
      expect(await failure(reach([port]))).to.equal('certificate')
    })

    it('does not count them for an address that is not in them', async () => {
      const { port } = await serve(answer, { names: ['a.test', '127.0.0.2'] })
      expect(await failure(reach([]), { serverName: `127.0.0.1:${port}` })).to.equal('certificate')
    })

    it('takes any where they are not to be verified, for all or for some', async () => {
      const { port } = await serve(answer, { names: ['x.test'] })
      expect(await ask(reach([port], { tls: { verify: false } }))).to.equal('200 answered')
      const exempt = { isExempt: (name: string) => name === 'a.test' }
      expect(await ask(reach([port], { tls: exempt }))).to.equal('200 answered')
      const others = { isExempt: (name: string) => name !== 'a.test' }
      expect(await failure(reach([port], { tls: others }))).to.equal('certificate')
    })

    it('refuses versions of TLS that are too old', async () => {
      const tls: ServerOptions = { ...tlsOf(['a.test']), maxVersion: 'TLSv1.2' }
      const { port } = await serve(answer, { tls })
      expect(await ask(reach([port]))).to.equal('200 answered')
      expect(await failure(reach([port], { tls: { minVersion: 'TLSv1.3' } }))).to.equal('unreachable')
    })

    it('refuses what is no TLS', async () => {
      const plain = await startHttpServer(answer)
      servers.push(plain)
      expect(await failure(reach([plain.port]))).to.equal('unreachable')
    })
  })

  it('does not dial addresses that are denied, however they were found', async () => {
    const server = await serve((_request, response) => response.end())
    const policy = new IpPolicy({ deniedRanges: ['127.0.0.0/8'], allowedRanges: [] })
    expect(await failure(reach([server.port], { policy }))).to.equal('denied')
    const literal = { serverName: `127.0.0.1:${server.port}` }
    expect(await failure(reach([], { policy }), literal)).to.equal('denied')
    const mapped = { serverName: `[::ffff:127.0.0.1]:${server.port}` }
    expect(await failure(reach([], { policy }), mapped)).to.equal('denied')
    expect(server.connections()).to.equal(0)
  })

  it('bounds answers in time and size, and follows no redirects', async () => {
    const at = async (handler: RequestListener): Promise<FederationTransport> =>
      reach([(await serve(handler)).port])
    expect(await failure(await at(MISBEHAVIOUR.endless))).to.equal('tooLarge')
    expect(await failure(await at(MISBEHAVIOUR.huge))).to.equal('tooLarge')
    expect(await failure(await at(MISBEHAVIOUR.trickle), { timeoutMs: 200 })).to.equal('timeout')
    expect(await failure(await at(MISBEHAVIOUR.silent), { timeoutMs: 200 })).to.equal('timeout')
    expect(await failure(await at(MISBEHAVIOUR.abrupt), { method: 'POST' })).to.equal('unreachable')
    expect(await ask(await at(MISBEHAVIOUR.loop))).to.equal('302 ')
  })

  it('keeps no more of a large answer than it may', async () => {
    const { port } = await serve(MISBEHAVIOUR.endless)
    const transport = reach([port])
    const before = process.memoryUsage().rss
    await Promise.all(Array.from({ length: 8 }, () => failure(transport, { maxBytes: 1_000_000 })))
    expect(process.memoryUsage().rss - before).to.be.below(150 * 1024 * 1024)
  })

  it('sends nothing once it is closed', async () => {
    const transport = reach([1])
    await transport.close()
    expect(await failure(transport)).to.equal('aborted')
  })

  it('ends what is on its way when it is closed', async () => {
    const arrived = createDeferred()
    const { port } = await serve(() => arrived.resolve())
    const transport = reach([port])
    const waiting = failure(transport)
    await arrived.promise
    await transport.close()
    expect(await waiting).to.be.oneOf(['unreachable', 'aborted'])
  })
})
