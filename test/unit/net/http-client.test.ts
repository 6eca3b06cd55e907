import type { RequestListener } from 'node:http'
import { expect } from 'chai'
import { createSystemDns } from '../../../src/net/dns.js'
import { HttpClient, HttpFailure, type HttpRequest } from '../../../src/net/http-client.js'
import { IpPolicy } from '../../../src/net/ip-policy.js'
import { systemClock } from '../../../src/util/clock.js'
import { MISBEHAVIOUR, startHttpServer, type HttpServer } from '../../support/http-servers.js'
import { rejection } from '../../support/rejection.js'
import { TestAuthority } from '../../support/test-authority.js'

const OPEN = new IpPolicy({ deniedRanges: [], allowedRanges: [] })
const CLOSED = new IpPolicy({ deniedRanges: ['127.0.0.0/8', '::1/128'], allowedRanges: [] })

describe('HttpClient', () => {
  let server: HttpServer | undefined
  const clients: HttpClient[] = []

  function client(policy = OPEN, authorities?: readonly string[]): HttpClient {
    const made = new HttpClient({
      dns: createSystemDns(),
      policy,
      clock: systemClock,
      tls: { verify: true, authorities },
      userAgent: 'mxhs test',
    })
    clients.push(made)
    return made
  }

  async function serve(handler: RequestListener): Promise<string> {
    server = await startHttpServer(handler)
    return `http://127.0.0.1:${server.port}`
  }

  async function failure(
    request: Partial<HttpRequest> & { url: string },
    how: 'request' | 'requestStream' = 'request',
  ): Promise<string> {
    const made = client()
    const error = await rejection(
      (async () => {
        const reply = await made[how]({ method: 'GET', ...request })
        if ('destroy' in reply.body) for await (const _chunk of reply.body) continue
      })(),
    )
    expect(error).to.be.instanceOf(HttpFailure)
    return (error as HttpFailure).kind
  }

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((made) => made.close()))
    await server?.[Symbol.asyncDispose]()
    server = undefined
  })

  it('sends what it is told, and gives answers of every status', async () => {
    const url = await serve((request, response) => {
      request.on('data', (chunk: Buffer) => {
        response.writeHead(418, { 'X-Seen': request.headers['x-sent'] })
        response.end(`${request.method ?? ''} ${request.url ?? ''} ${chunk.toString()}`)
      })
    })
    const reply = await client().request({
      method: 'POST',
      url: `${url}/path?query=1`,
      headers: { 'X-Sent': 'yes' },
      body: 'body',
    })
    expect(reply.status).to.equal(418)
    expect(reply.headers['x-seen']).to.equal('yes')
    expect(reply.body.toString()).to.equal('POST /path?query=1 body')
  })

  it('streams', async () => {
    const url = await serve((_request, response) => response.end('streamed'))
    const { body } = await client().requestStream({ method: 'GET', url })
    const chunks: Buffer[] = []
    for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).to.equal('streamed')
  })

  it('does not speak to addresses that are denied, by whatever name', async () => {
    const url = await serve((_request, response) => response.end())
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '2130706433', '0x7f.1', '127.1']) {
      const target = url.replace('127.0.0.1', host)
      const error = await rejection(client(CLOSED).request({ method: 'GET', url: target }))
      expect(error, host).to.have.property('kind', 'denied')
    }
    expect(server?.connections()).to.equal(0)
  })

  it('does not follow redirects to addresses that are denied', async () => {
    const url = await serve((request, response) => {
      response.writeHead(302, { Location: `http://[::1]:1${request.url ?? ''}` }).end()
    })
    const policy = new IpPolicy({ deniedRanges: ['::1/128'], allowedRanges: [] })
    const error = await rejection(client(policy).request({ method: 'GET', url, maxRedirects: 3 }))
    expect(error).to.have.property('kind', 'denied')
  })

  it('bounds the size of answers, said or not', async () => {
    const big = { url: await serve(MISBEHAVIOUR.endless), maxBytes: 1_000_000 }
    expect(await failure(big)).to.equal('tooLarge')
    expect(await failure(big, 'requestStream')).to.equal('tooLarge')
    await server?.[Symbol.asyncDispose]()
    const huge = { url: await serve(MISBEHAVIOUR.huge), maxBytes: 1_000_000 }
    expect(await failure(huge)).to.equal('tooLarge')
    expect(await failure(huge, 'requestStream')).to.equal('tooLarge')
  })

  it('bounds the time of answers, to their last byte', async () => {
    const slow = { url: await serve(MISBEHAVIOUR.trickle), timeoutMs: 150 }
    expect(await failure(slow)).to.equal('timeout')
    expect(await failure(slow, 'requestStream')).to.equal('timeout')
    await server?.[Symbol.asyncDispose]()
    expect(await failure({ url: await serve(MISBEHAVIOUR.silent), timeoutMs: 100 })).to.equal('timeout')
  })

  it('bounds redirects', async () => {
    const url = await serve(MISBEHAVIOUR.loop)
    expect(await failure({ url, maxRedirects: 3 })).to.equal('malformed')
    const reply = await client().request({ method: 'GET', url })
    expect(reply.status).to.equal(302)
  })

  it('follows redirects without taking secrets to other hosts', async () => {
    const seen: (string | undefined)[] = []
    await using other = await startHttpServer((request, response) => {
      seen.push(request.headers.authorization)
      response.end('there')
    })
    const url = await serve((request, response) => {
      seen.push(request.headers.authorization)
      const location = request.url === '/' ? '/next' : `http://127.0.0.1:${other.port}/`
      response.writeHead(307, { Location: location }).end()
    })
    const reply = await client().request({
      method: 'GET',
      url: `${url}/`,
      headers: { Authorization: 'Bearer secret' },
      maxRedirects: 2,
    })
    expect(reply.body.toString()).to.equal('there')
    expect(seen).to.deep.equal(['Bearer secret', 'Bearer secret', undefined])
  })

  it('does not follow redirects to other schemes', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(302, { Location: 'file:///etc/passwd' }).end()
    })
    expect(await failure({ url, maxRedirects: 3 })).to.equal('malformed')
  })

  it('says what is wrong with connections', async () => {
    expect(await failure({ url: 'http://127.0.0.1:1/' })).to.equal('unreachable')
    expect(await failure({ url: 'http://there-is-none.invalid/' })).to.equal('unreachable')
    expect(await failure({ url: await serve(MISBEHAVIOUR.abrupt) })).to.equal('unreachable')
    const plain = (server?.port ?? 0).toString()
    expect(await failure({ url: `https://127.0.0.1:${plain}/` })).to.equal('unreachable')
    expect(await failure({ url: 'gopher://a.test/' })).to.equal('malformed')
    expect(await failure({ url: 'nonsense' })).to.equal('malformed')
  })

  it('gives up when the caller does', async () => {
    const url = await serve(MISBEHAVIOUR.silent)
    const controller = new AbortController()
    const request = client().request({ method: 'GET', url, signal: controller.signal })
    controller.abort()
    expect(await rejection(request)).to.have.property('kind', 'aborted')
    const late = client().request({ method: 'GET', url, signal: controller.signal })
    expect(await rejection(late)).to.have.property('kind', 'aborted')
  })

  it('trusts only certificates of authorities that it is told of', async () => {
    const authority = new TestAuthority()
    const { certificate, privateKey } = authority.issue(['localhost'])
    const tls = { cert: certificate, key: privateKey }
    server = await startHttpServer((_request, response) => response.end('secret'), { tls })
    const url = `https://localhost:${server.port}/`
    const error = await rejection(client().request({ method: 'GET', url }))
    expect(error).to.have.property('kind', 'certificate')
    const reply = await client(OPEN, [authority.certificate]).request({ method: 'GET', url })
    expect(reply.body.toString()).to.equal('secret')
    const wrongName = url.replace('localhost', '127.0.0.1')
    const other = await rejection(
      client(OPEN, [authority.certificate]).request({ method: 'GET', url: wrongName }),
    )
    expect(other).to.have.property('kind', 'certificate')
  })
})
