import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { expect } from 'chai'
import { z } from 'zod'
import { AccessLog } from '../../../src/http/access-log.js'
import { createKoaApp } from '../../../src/http/koa-app.js'
import { Pipeline } from '../../../src/http/pipeline.js'
import { file, HttpResponse, noContent, redirect } from '../../../src/http/responses.js'
import { buildRouteTable } from '../../../src/http/route-table.js'
import { route, type RequestInfo } from '../../../src/http/route.js'
import { Router } from '../../../src/http/router.js'
import { TxnDedupe } from '../../../src/http/txn-dedupe.js'
import { forbidden, unknownToken } from '../../../src/protocol/errors.js'
import type { RoomId, UserId } from '../../../src/protocol/ids.js'
import { RateLimits } from '../../../src/services/accounts/ratelimits.js'
import type { Requester } from '../../../src/services/accounts/requester.js'
import { FederationGate } from '../../../src/services/remote/federation-gate.js'
import type { Services } from '../../../src/services/services.js'
import { createLogger } from '../../../src/telemetry/logger.js'
import { createMetrics } from '../../../src/telemetry/metrics.js'
import { createDeferred } from '../../../src/util/deferred.js'
import { ManualClock } from '../../support/manual-clock.js'
import { MatrixClient } from '../../support/matrix-client.js'

const ALICE: Requester = {
  userId: '@alice:hs.test' as UserId,
  deviceId: 'D' as Requester['deviceId'],
  isGuest: false,
  isAdmin: false,
  isShadowBanned: false,
  isSuspended: false,
  isLocked: false,
  tokenId: 1,
  appserviceId: undefined,
}

const TOKENS: Readonly<Record<string, Requester>> = {
  alice: ALICE,
  admin: { ...ALICE, userId: '@admin:hs.test' as UserId, isAdmin: true },
  guest: { ...ALICE, userId: '@guest:hs.test' as UserId, isGuest: true },
  locked: { ...ALICE, userId: '@locked:hs.test' as UserId, isLocked: true },
}

const jsonObject = z.looseObject({})

/** A server with routes of the test's own. */
class TestServer implements AsyncDisposable {
  readonly lines: Record<string, unknown>[] = []
  readonly clock = new ManualClock()
  readonly stopping = new AbortController()
  readonly metrics = createMetrics()
  readonly #server = createServer()
  /** What the last handler was given. */
  seen: { params?: unknown; query?: unknown; body?: unknown; requester?: Requester; request?: RequestInfo } =
    {}
  calls = 0
  /** What the handler of `act` waits for. */
  gate: Promise<unknown> = Promise.resolve()

  static async start(
    options: { trustsForwardedFor?: boolean; debug?: boolean; compresses?: boolean } = {},
  ): Promise<TestServer> {
    const server = new TestServer()
    const log = await createLogger({
      level: options.debug === true ? 'debug' : 'info',
      destination: { write: (line) => server.lines.push(JSON.parse(line) as Record<string, unknown>) },
    })
    const pipeline = new Pipeline({
      services: {} as Services,
      authenticator: {
        authenticate: (token) => {
          const requester = TOKENS[token]
          return requester === undefined ? Promise.reject(unknownToken()) : Promise.resolve(requester)
        },
      },
      federationGate: new FederationGate({} as never, {} as never),
      rateLimits: new RateLimits(server.clock, {
        message: { perSecond: 0.5, burstCount: 2 },
        registration: { perSecond: 1, burstCount: 1 },
      }),
      accessLog: new AccessLog(log.logger, server.metrics),
      dedupe: new TxnDedupe(server.clock),
      logger: log.logger,
      monotonicMs: () => 0,
      stopping: server.stopping.signal,
      namesRequestInLogs: options.debug === true,
    })
    const app = createKoaApp(pipeline, {
      router: new Router(buildRouteTable(server.#routes(log.logger.info.bind(log.logger)))),
      trustsForwardedFor: options.trustsForwardedFor ?? false,
      requestIdHeader: 'X-Request-ID',
      compresses: options.compresses ?? false,
    })
    const handle = app.callback()
    server.#server.on('request', (req, res) => void handle(req, res))
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  client(token?: string): MatrixClient {
    const client = new MatrixClient(`http://127.0.0.1:${this.port}`)
    return token === undefined ? client : client.withSession({ userId: '', deviceId: '', accessToken: token })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #routes(log: (message: string) => void) {
    const act = async (input: object): Promise<unknown> => {
      this.calls += 1
      this.seen = input
      await this.gate
      return { done: this.calls }
    }
    const common = { method: 'POST', handler: act } as const
    return [
      route({ ...common, operationId: 'open', path: '/open', auth: 'none', body: jsonObject }),
      route({
        ...common,
        operationId: 'empty',
        path: '/empty',
        auth: 'none',
        body: jsonObject,
        emptyBody: true,
      }),
      route({
        ...common,
        operationId: 'small',
        path: '/small',
        auth: 'none',
        body: jsonObject,
        maxBodyBytes: 10,
      }),
      route({ ...common, operationId: 'user', path: '/user', auth: 'user' }),
      route({ ...common, operationId: 'guests', path: '/guests', auth: 'userOrGuest' }),
      route({ ...common, operationId: 'optional', path: '/optional', auth: 'optionalUser' }),
      route({ ...common, operationId: 'admin', path: '/admin', auth: 'admin' }),
      route({ ...common, operationId: 'logout', path: '/logout', auth: 'user', allowLocked: true }),
      route({ ...common, operationId: 'limited', path: '/limited', auth: 'user', rateLimit: 'message' }),
      route({
        operationId: 'register',
        method: 'POST',
        path: '/register',
        auth: 'none',
        rateLimit: 'registration',
        query: z.looseObject({ ok: z.enum(['yes', 'no']) }),
        handler: ({ query }) => {
          if (query.ok === 'no') return Promise.resolve(new HttpResponse(401, { json: {} }))
          return Promise.resolve({})
        },
      }),
      route({
        ...common,
        operationId: 'txn',
        method: 'PUT',
        path: '/rooms/:roomId/send/:txnId',
        auth: 'user',
        dedupe: 'txnId',
        query: z.looseObject({ via: z.string().optional() }),
      }),
      route({
        operationId: 'fail',
        method: 'GET',
        path: '/fail/:how',
        auth: 'none',
        handler: ({ params }) => {
          log('about to fail')
          return Promise.reject(
            params.how === 'forbidden' ? forbidden('No') : new Error('a secret of the server'),
          )
        },
      }),
      route({
        operationId: 'answers',
        method: 'GET',
        path: '/answers/:kind',
        auth: 'none',
        handler: ({ params, request }) => {
          this.seen = { request }
          if (params.kind === 'none') return Promise.resolve(noContent())
          if (params.kind === 'long') return Promise.resolve({ text: 'x'.repeat(5000) })
          if (params.kind === 'redirect') return Promise.resolve(redirect('https://x.test/é'))
          if (params.kind === 'file') {
            const meta = { contentType: 'image/png', headers: { ETag: '"x"' } }
            return Promise.resolve(file(Readable.from([Buffer.from('png')]), meta))
          }
          return new Promise((resolve) => {
            request.signal.addEventListener('abort', () => resolve({ aborted: true }), { once: true })
          })
        },
      }),
    ]
  }
}

const CORS = [
  ['access-control-allow-origin', '*'],
  ['access-control-allow-methods', /PUT/],
  ['access-control-allow-headers', /Authorization/],
] as const

function expectCors(headers: Headers): void {
  for (const [name, value] of CORS) {
    if (typeof value === 'string') expect(headers.get(name)).to.equal(value)
    else expect(headers.get(name)).to.match(value)
  }
}

describe('http/pipeline', () => {
  it('sends the headers of CORS with everything', async () => {
    await using server = await TestServer.start()
    const client = server.client()
    for (const [method, path, status] of [
      ['POST', '/open', 200],
      ['POST', '/unknown', 404],
      ['DELETE', '/open', 405],
      ['POST', '/user', 401],
      ['GET', '/fail/badly', 500],
      ['GET', '/answers/none', 204],
      ['GET', '/answers/redirect', 302],
      ['OPTIONS', '/open', 204],
      ['OPTIONS', '/anything', 204],
    ] as const) {
      const answer = await client.request(method, path, method === 'POST' ? { body: {} } : {})
      expect(answer.status, `${method} ${path}`).to.equal(status)
      expectCors(answer.headers)
    }
  })

  it('does not know unknown paths and methods', async () => {
    await using server = await TestServer.start()
    const unknown = await server.client().request('GET', '/_matrix/client/v3/nothing')
    expect(unknown.body).to.deep.equal({ errcode: 'M_UNRECOGNIZED', error: 'Unrecognized request' })
    const wrong = await server.client().request('DELETE', '/open')
    expect(wrong.status).to.equal(405)
    expect(wrong.body['errcode']).to.equal('M_UNRECOGNIZED')
    expect(wrong.headers.get('allow')).to.equal('POST')
  })

  it('reads bodies strictly', async () => {
    await using server = await TestServer.start()
    const post = async (path: string, rawBody: string): Promise<string> => {
      const { status, body } = await server.client().request('POST', path, { rawBody })
      return `${status} ${(body['errcode'] as string | undefined) ?? 'fine'}`
    }
    expect(await post('/open', '{"a":1}')).to.equal('200 fine')
    expect(server.seen.body).to.deep.equal({ a: 1 })
    expect(server.seen.request?.rawBody).to.equal('{"a":1}')
    expect(await post('/open', '{"a"')).to.equal('400 M_NOT_JSON')
    expect(await post('/open', '')).to.equal('400 M_NOT_JSON')
    expect(await post('/empty', '')).to.equal('200 fine')
    expect(await post('/open', '[]')).to.equal('400 M_BAD_JSON')
    expect(await post('/open', '{"a":"\\ud800"}')).to.equal('400 M_BAD_JSON')
    expect(await post('/open', '{"a":'.repeat(5000))).to.equal('400 M_BAD_JSON')
    expect(await post('/small', '{"a":"123456"}')).to.equal('413 M_TOO_LARGE')
    expect(await post('/open', `"${'x'.repeat(2 ** 20)}"`)).to.equal('413 M_TOO_LARGE')
  })

  it('knows callers by their token, in the header or in the query', async () => {
    await using server = await TestServer.start()
    const post = async (path: string, token?: string, search = ''): Promise<string> => {
      const { status, body } = await server.client(token).request('POST', path + search)
      return `${status} ${(body['errcode'] as string | undefined) ?? server.seen.requester?.userId ?? 'nobody'}`
    }
    expect(await post('/user', 'alice')).to.equal('200 @alice:hs.test')
    expect(await post('/user', undefined, '?access_token=alice')).to.equal('200 @alice:hs.test')
    expect(await post('/user')).to.equal('401 M_MISSING_TOKEN')
    expect(await post('/user', undefined, '?access_token=')).to.equal('401 M_MISSING_TOKEN')
    expect(await post('/user', 'alice', '?access_token=admin')).to.equal('401 M_MISSING_TOKEN')
    expect(await post('/user', 'nobody')).to.equal('401 M_UNKNOWN_TOKEN')
    expect(await post('/user', 'guest')).to.equal('403 M_GUEST_ACCESS_FORBIDDEN')
    expect(await post('/guests', 'guest')).to.equal('200 @guest:hs.test')
    expect(await post('/optional')).to.equal('200 nobody')
    expect(await post('/optional', 'alice')).to.equal('200 @alice:hs.test')
    expect(await post('/optional', 'nobody')).to.equal('401 M_UNKNOWN_TOKEN')
    expect(await post('/admin', 'alice')).to.equal('403 M_FORBIDDEN')
    expect(await post('/admin', 'admin')).to.equal('200 @admin:hs.test')
    expect(await post('/user', 'locked')).to.equal('401 M_USER_LOCKED')
    expect(await post('/logout', 'locked')).to.equal('200 @locked:hs.test')
    expect(await post('/open', 'nobody')).to.equal('400 M_NOT_JSON')
  })

  it('limits how often, and says when to come again', async () => {
    await using server = await TestServer.start()
    const client = server.client('alice')
    for (let n = 0; n < 2; n++) expect((await client.request('POST', '/limited')).status).to.equal(200)
    const refused = await client.request('POST', '/limited')
    expect(refused.status).to.equal(429)
    expect(refused.body).to.include({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 2000 })
    expect(refused.headers.get('retry-after')).to.equal('2')
    expect((await server.client('admin').request('POST', '/limited')).status).to.equal(200)
    server.clock.advance(2000)
    expect((await client.request('POST', '/limited')).status).to.equal(200)
  })

  it('counts only success where the way to it takes several requests', async () => {
    await using server = await TestServer.start()
    const client = server.client()
    const ask = async (ok: string): Promise<number> =>
      (await client.request('POST', '/register', { query: { ok } })).status
    expect([
      await ask('no'),
      await ask('no'),
      await ask('bad'),
      await ask('yes'),
      await ask('no'),
    ]).to.deep.equal([401, 401, 400, 200, 429])
  })

  it('answers a transaction once', async () => {
    await using server = await TestServer.start()
    const put = async (target: string, token = 'alice'): Promise<unknown> =>
      (await server.client(token).request('PUT', target)).body['done']
    expect(await put('/rooms/!r:x/send/1')).to.equal(1)
    expect(await put('/rooms/!r:x/send/1?via=x')).to.equal(1)
    expect(await put('/rooms/!r:x/send/2')).to.equal(2)
    expect(await put('/rooms/!s:x/send/1')).to.equal(3)
    expect(await put('/rooms/!r:x/send/1', 'admin')).to.equal(4)
  })

  it('checks the parameters of the path', async () => {
    await using server = await TestServer.start()
    const client = server.client('alice')
    for (const path of ['/rooms/nothing/send/1', '/rooms/!r:x/send/%00', '/rooms/%zz/send/1']) {
      const { status, body } = await client.request('PUT', path)
      expect([status, body['errcode']], path).to.deep.equal([400, 'M_INVALID_PARAM'])
    }
    await client.must('PUT', '/rooms/!r%3Ax/send/a%2Fb')
    expect(server.seen.params).to.deep.equal({ roomId: '!r:x' as RoomId, txnId: 'a/b' })
  })

  it('says nothing of its own errors, but logs them', async () => {
    await using server = await TestServer.start()
    const { status, body } = await server.client().request('GET', '/fail/badly')
    expect([status, body]).to.deep.equal([500, { errcode: 'M_UNKNOWN', error: 'Internal server error' }])
    const line = server.lines.find((entry) => entry['level'] === 'error')
    expect(line).to.deep.include({ operation: 'fail', request: 'GET-1' })
    expect(JSON.stringify(line?.['err'])).to.contain('a secret of the server')
    expect((await server.client().request('GET', '/fail/forbidden')).body).to.deep.equal({
      errcode: 'M_FORBIDDEN',
      error: 'No',
    })
    expect(server.lines.filter((entry) => entry['level'] === 'error')).to.have.length(1)
  })

  it('logs every request without its secrets, and counts it', async () => {
    await using server = await TestServer.start()
    await server
      .client()
      .request('POST', '/user?access_token=alice&x=1', { headers: { 'X-Request-ID': 'from-proxy' } })
    const line = server.lines.at(-1)
    expect(line).to.deep.include({
      request: 'from-proxy',
      requester: '@alice:hs.test',
      method: 'POST',
      path: '/user?access_token=<redacted>&x=1',
      status: 200,
      ip: '127.0.0.1',
    })
    expect(await server.metrics.render()).to.contain(
      'synapse_http_server_response_count{method="POST",servlet="user",code="200"} 1',
    )
    // What services of single sign-on send along with people.
    await server.client().request('GET', '/nowhere?code=c&state=s&ticket=ST-1')
    expect(server.lines.at(-1)?.['path']).to.equal('/nowhere?code=<redacted>&state=s&ticket=<redacted>')
  })

  it('names the request in the lines of handlers where details are logged', async () => {
    await using server = await TestServer.start({ debug: true })
    await server.client().request('GET', '/fail/forbidden')
    expect(server.lines.find((entry) => entry['msg'] === 'about to fail')).to.include({ request: 'GET-1' })
  })

  it('believes a proxy only where it is told to', async () => {
    const ipOf = async (server: TestServer, forwarded: string): Promise<string | undefined> => {
      await server.client().request('POST', '/empty', { headers: { 'X-Forwarded-For': forwarded } })
      return server.seen.request?.ip
    }
    await using plain = await TestServer.start()
    expect(await ipOf(plain, '10.1.2.3')).to.equal('127.0.0.1')
    await using behind = await TestServer.start({ trustsForwardedFor: true })
    expect(await ipOf(behind, '10.1.2.3, 10.9.9.9')).to.equal('10.1.2.3')
    expect(await ipOf(behind, '::ffff:10.1.2.3')).to.equal('10.1.2.3')
    expect(await ipOf(behind, '2001:db8::1')).to.equal('2001:db8::1')
    expect(await ipOf(behind, 'nonsense')).to.equal('127.0.0.1')
  })

  it('sends files, redirections and nothing', async () => {
    await using server = await TestServer.start()
    const client = server.client()
    const image = await client.request('GET', '/answers/file')
    expect([
      image.status,
      image.text,
      image.headers.get('content-type'),
      image.headers.get('etag'),
    ]).to.deep.equal([200, 'png', 'image/png', '"x"'])
    const moved = await client.request('GET', '/answers/redirect')
    expect(moved.headers.get('location')).to.equal('https://x.test/%C3%A9')
    const none = await client.request('GET', '/answers/none')
    expect([none.text, none.headers.get('content-type')]).to.deep.equal(['', null])
    const json = await client.request('POST', '/empty')
    expect(json.headers.get('content-type')).to.equal('application/json')
  })

  it('packs long answers where it is told to, for those who want it', async () => {
    const ask = async (server: TestServer, kind: string, accepted: string): Promise<unknown[]> => {
      const { headers, text } = await server
        .client()
        .request('GET', `/answers/${kind}`, { headers: { 'Accept-Encoding': accepted } })
      return [headers.get('content-encoding'), headers.get('content-type'), text.length]
    }
    await using plain = await TestServer.start()
    expect(await ask(plain, 'long', 'gzip')).to.deep.equal([null, 'application/json', 5011])
    await using packing = await TestServer.start({ compresses: true })
    expect(await ask(packing, 'long', 'br, gzip;q=0.5')).to.deep.equal(['gzip', 'application/json', 5011])
    expect(await ask(packing, 'long', 'gzip;q=0')).to.deep.equal([null, 'application/json', 5011])
    expect(await ask(packing, 'long', 'br')).to.deep.equal([null, 'application/json', 5011])
    expect(await ask(packing, 'file', 'gzip')).to.deep.equal([null, 'image/png', 3])
  })

  it('lets those who wait answer when the server stops, and closes their connections', async () => {
    await using server = await TestServer.start()
    const waiting = server.client().request('GET', '/answers/late')
    while (server.seen.request === undefined) await new Promise((resolve) => setImmediate(resolve))
    server.stopping.abort()
    const answer = await waiting
    expect(answer.body).to.deep.equal({ aborted: true })
    expect(answer.headers.get('connection')).to.equal('close')
  })

  it('tells those who wait when the client goes away', async () => {
    await using server = await TestServer.start()
    const request = httpRequest({ port: server.port, path: '/answers/late' })
    request.on('error', () => undefined)
    request.end()
    while (server.seen.request === undefined) await new Promise((resolve) => setImmediate(resolve))
    const { signal } = server.seen.request
    const aborted = once(signal, 'abort')
    request.destroy()
    await aborted
  })

  it('finishes a transaction whose client has gone away', async () => {
    await using server = await TestServer.start()
    const gate = createDeferred()
    server.gate = gate.promise
    const request = httpRequest({
      port: server.port,
      method: 'PUT',
      path: '/rooms/!r:x/send/1',
      headers: { Authorization: 'Bearer alice' },
    })
    request.on('error', () => undefined)
    request.end()
    while (server.calls === 0) await new Promise((resolve) => setImmediate(resolve))
    request.destroy()
    expect(server.seen.request?.signal.aborted).to.equal(false)
    const again = server.client('alice').must('PUT', '/rooms/!r:x/send/1')
    gate.resolve()
    expect(await again).to.deep.equal({ done: 1 })
  })

  it('reads request lines with whole URLs', async () => {
    await using server = await TestServer.start()
    const request = httpRequest({ port: server.port, method: 'POST', path: 'http://hs.test/empty?x=1' })
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.resume()
    expect(response.statusCode).to.equal(200)
  })

  it('survives nonsense', async () => {
    await using server = await TestServer.start()
    const socket = connect(server.port, '127.0.0.1')
    socket.write('nonsense\r\n\r\n')
    const [data] = (await once(socket, 'data')) as [Buffer]
    expect(data.toString()).to.match(/^HTTP\/1\.1 400 /)
    socket.destroy()
    expect((await server.client().request('POST', '/empty')).status).to.equal(200)
  })
})
