import { Readable } from 'node:stream'
import { expect } from 'chai'
import type { TransportRequest } from '../../../../src/net/federation/federation-transport.js'
import { HttpFailure, type HttpFailureKind, type HttpReply } from '../../../../src/net/http-client.js'
import { verifySignature } from '../../../../src/protocol/ed25519.js'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { createSigner, makeSigningKey, type SigningKey } from '../../../../src/protocol/signing-keys.js'
import { parseXMatrix, requestText } from '../../../../src/protocol/x-matrix.js'
import {
  FederationClient,
  FederationError,
  type FederationRequest,
} from '../../../../src/services/remote/federation-client.js'
import { nextTurn } from '../../../../src/util/clock.js'
import { silentLogger } from '../../../../src/telemetry/logger.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const OWN = 'own.test' as ServerName
const B = 'b.test' as ServerName

describe('FederationClient', () => {
  let key: SigningKey
  let clock: ManualClock
  let sent: TransportRequest[]
  let answer: Partial<HttpReply> | HttpFailure
  let marks: string[]
  let retryAtTs: number
  before(async () => {
    key = makeSigningKey('k', Buffer.alloc(32, 1))
  })
  beforeEach(() => {
    clock = new ManualClock()
    sent = []
    answer = json(200, '{}')
    marks = []
    retryAtTs = 0
  })

  function client(
    options: {
      allowed?: readonly string[]
      publishes?: boolean
      request?: (request: TransportRequest) => Promise<HttpReply>
    } = {},
  ): FederationClient {
    const reply = (request: TransportRequest): HttpReply => {
      sent.push(request)
      if (answer instanceof HttpFailure) throw answer
      return { status: 200, headers: {}, body: Buffer.from(''), ...answer }
    }
    return new FederationClient({
      serverName: OWN,
      signer: createSigner(OWN, key),
      clock,
      allowedDomains: options.allowed && new Set(options.allowed),
      servesWhitelist: options.publishes ?? false,
      requestTimeoutMs: 60_000,
      logger: silentLogger(),
      transport: {
        request: options.request ?? (async (request) => Promise.resolve(reply(request))),
        requestStream: async (request) => {
          const { body, ...head } = reply(request)
          return Promise.resolve({ ...head, body: Readable.from([body]) })
        },
      },
      destinations: {
        markAlive: (serverName) => marks.push(`alive ${serverName}`),
        markFailed: (serverName, { error, retryAfterMs }) => {
          marks.push(`failed ${serverName}: ${error}${retryAfterMs === undefined ? '' : ` ${retryAfterMs}`}`)
          return Promise.resolve(0)
        },
        retryAtTs: () => Promise.resolve(retryAtTs),
      },
    })
  }

  function json(status: number, text: string, headers: HttpReply['headers'] = {}): Partial<HttpReply> {
    return { status, body: Buffer.from(text), headers }
  }

  async function failure(request: Partial<FederationRequest> = {}): Promise<FederationError> {
    const error = await rejection(
      client().request({ destination: B, method: 'GET', path: '/_matrix/x', ...request }),
    )
    expect(error).to.be.instanceOf(FederationError)
    return error as FederationError
  }

  it('signs what it sends', async () => {
    answer = json(200, '{"answer":1}')
    const body = { b: 1, a: 'ü' }
    const result = await client().request({
      destination: B,
      method: 'PUT',
      path: '/_matrix/x/%2F',
      query: { one: 'a b&c', many: ['1', '2'] },
      body,
    })
    expect(result).to.deep.equal({ answer: 1 })
    const uri = '/_matrix/x/%2F?one=a%20b%26c&many=1&many=2'
    expect(sent[0]).to.deep.include({ serverName: B, method: 'PUT', path: uri, body: JSON.stringify(body) })
    const header = parseXMatrix(sent[0]!.headers['Authorization'] ?? '')
    expect(header).to.include({ origin: OWN, destination: B, keyId: 'ed25519:k' })
    const text = requestText({ method: 'PUT', uri, origin: OWN, destination: B, content: body })
    expect(verifySignature(key.key.verifyKey, text, header?.signature ?? '')).to.be.true
  })

  it('has limits unless it is given others', async () => {
    await client().request({ destination: B, method: 'GET', path: '/_matrix/x' })
    await client().request({ destination: B, method: 'GET', path: '/_matrix/x', timeoutMs: 5, maxBytes: 6 })
    expect(sent[0]).to.include({ timeoutMs: 60_000, maxBytes: 32 * 1024 * 1024 })
    expect(sent[1]).to.include({ timeoutMs: 5, maxBytes: 6 })
  })

  it('marks those alive that answer, also with errors of the asker', async () => {
    await client().request({ destination: B, method: 'GET', path: '/_matrix/x' })
    answer = json(404, '{"errcode":"M_NOT_FOUND","error":"None"}')
    const error = await failure()
    expect(error).to.include({ kind: 'refused', status: 404, errcode: 'M_NOT_FOUND', destination: B })
    expect(error.body).to.deep.equal({ errcode: 'M_NOT_FOUND', error: 'None' })
    expect(error.isUnsupported).to.be.false
    expect(marks).to.deep.equal(['alive b.test', 'alive b.test'])
  })

  for (const [what, status, body, method] of [
    ['a gateway in front of nothing', 502, '<html>', 'GET'],
    ['an error of the server when something is sent', 500, '{"errcode":"M_UNKNOWN"}', 'PUT'],
    ['a refusal of the signature', 401, '{"errcode":"M_UNAUTHORIZED"}', 'GET'],
  ] as const) {
    it(`counts ${what} as a failure`, async () => {
      answer = json(status, body)
      expect(await failure({ method })).to.include({ kind: 'refused', status })
      expect(marks).to.have.length(1)
      expect(marks[0]).to.match(/^failed b\.test: it answers with/)
    })
  }

  it('does not count an error of a look-up as a failure of the server', async () => {
    answer = json(500, '{"errcode":"M_UNKNOWN"}')
    await failure()
    expect(marks).to.deep.equal(['alive b.test'])
  })

  it('holds no failure against servers that anybody may have named', async () => {
    for (const failing of [json(502, '<html>'), json(429, '{}'), new HttpFailure('unreachable', 'why')]) {
      answer = failing
      await failure({ forgetsFailure: true })
    }
    expect(marks).to.deep.equal([])
    answer = json(404, '{"errcode":"M_NOT_FOUND"}')
    await failure({ forgetsFailure: true })
    expect(marks).to.deep.equal(['alive b.test'])
  })

  it('comes back when the server says', async () => {
    answer = json(429, '{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1234}')
    await failure()
    answer = json(429, '{"errcode":"M_LIMIT_EXCEEDED"}', { 'retry-after': '3' })
    await failure()
    expect(marks.map((mark) => mark.split(' ').at(-1))).to.deep.equal(['1234', '3000'])
  })

  for (const [kind, expected, isFailure] of [
    ['unreachable', 'unreachable', true],
    ['timeout', 'unreachable', true],
    ['certificate', 'unreachable', true],
    ['denied', 'denied', false],
    ['tooLarge', 'malformed', false],
    ['malformed', 'malformed', false],
    ['aborted', 'unreachable', false],
  ] as const satisfies readonly (readonly [HttpFailureKind, string, boolean])[]) {
    it(`takes no answer (${kind}) for ${expected}`, async () => {
      answer = new HttpFailure(kind, 'why')
      const error = await failure()
      expect(error).to.include({ kind: expected, message: 'b.test: why' })
      expect(marks).to.deep.equal(isFailure ? ['failed b.test: why'] : [])
    })
  }

  for (const [what, body] of Object.entries({
    'no JSON': '<html>',
    'no object': '[]',
    nothing: '',
    'what nests too deep': '{"a":'.repeat(300) + '1' + '}'.repeat(300),
    'no UTF-8': Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
  })) {
    it(`takes ${what} for malformed`, async () => {
      answer = { status: 200, body: Buffer.from(body as string) }
      expect(await failure()).to.include({ kind: 'malformed', status: 200 })
    })
  }

  it('takes JSON of any content type', async () => {
    answer = json(200, '{"a":1}', { 'content-type': 'text/html' })
    expect(await client().request({ destination: B, method: 'GET', path: '/x' })).to.deep.equal({ a: 1 })
  })

  it('gives the text of the answer to those who want it', async () => {
    answer = json(200, '{ "a": 1.0 }')
    const request = { destination: B, method: 'GET', path: '/x' } as const
    expect(await client().requestWithText(request)).to.deep.equal({ json: { a: 1 }, text: '{ "a": 1.0 }' })
  })

  it('does not ask those that have failed, unless it must', async () => {
    retryAtTs = clock.now() + 1000
    expect(await failure()).to.have.property('kind', 'backoff')
    expect(sent).to.have.length(0)
    await client().request({ destination: B, method: 'GET', path: '/x', ignoreBackoff: true })
    clock.advance(1000)
    await client().request({ destination: B, method: 'GET', path: '/x' })
    expect(sent).to.have.length(2)
  })

  it('asks neither itself nor those who are not allowed', async () => {
    expect(await failure({ destination: OWN })).to.have.property('kind', 'denied')
    const error = await rejection(
      client({ allowed: ['c.test'] }).request({ destination: B, method: 'GET', path: '/x' }),
    )
    expect(error).to.have.property('kind', 'denied')
    expect(sent).to.have.length(0)
    await client({ allowed: [B] }).request({ destination: B, method: 'GET', path: '/x' })
    expect(sent).to.have.length(1)
  })

  it('tells clients who is allowed, where it is to', () => {
    expect(client({ allowed: [B] }).publishedDomains()).to.equal(undefined)
    expect(client({ allowed: [B], publishes: true }).publishedDomains()).to.deep.equal({
      whitelist_enabled: true,
      whitelist: [B],
    })
    expect(client({ publishes: true }).publishedDomains()).to.deep.equal({ whitelist_enabled: false })
  })

  it('knows endpoints that are not there from things that are not', async () => {
    for (const [status, body, isUnsupported] of [
      [404, '{"errcode":"M_UNRECOGNIZED"}', true],
      [400, '{"errcode":"M_UNRECOGNIZED"}', true],
      [405, '', true],
      [404, '404 page not found', true],
      [404, '{"errcode":"M_NOT_FOUND"}', false],
      [403, '', false],
    ] as const) {
      answer = json(status, body)
      expect((await failure()).isUnsupported, `${status} ${body}`).to.equal(isUnsupported)
    }
  })

  describe('for streams', () => {
    const request = { destination: B, method: 'GET', path: '/media' } as const

    it('gives the body as it comes, of redirects too', async () => {
      answer = json(200, 'bytes', { 'content-type': 'image/png' })
      const { status, headers, body } = await client().requestStream(request)
      expect([status, headers['content-type'], (await body.toArray()).join('')]).to.deep.equal([
        200,
        'image/png',
        'bytes',
      ])
      answer = json(307, '')
      expect((await client().requestStream(request)).status).to.equal(307)
    })

    it('reads what errors say, within bounds', async () => {
      answer = json(404, '{"errcode":"M_NOT_FOUND"}')
      expect(await rejection(client().requestStream(request))).to.include({ errcode: 'M_NOT_FOUND' })
      answer = json(404, `{"errcode":"M_NOT_FOUND","x":"${'x'.repeat(70_000)}"}`)
      expect(await rejection(client().requestStream(request))).to.include({ status: 404, errcode: undefined })
    })
  })

  it('lets what is asked go on for a while when the server stops, then ends it and asks nobody', async () => {
    const ended = new HttpFailure('aborted', 'the request was given up')
    let signal: AbortSignal | undefined
    const waiting = client({
      request: (request) =>
        new Promise((_resolve, reject) => {
          signal = request.signal
          if (signal?.aborted === true) reject(ended)
          signal?.addEventListener('abort', () => reject(ended))
        }),
    })
    const asked = rejection(waiting.request({ destination: B, method: 'GET', path: '/_matrix/x' }))
    await nextTurn()
    waiting.stop(3_000)
    clock.advance(2_999)
    expect([signal?.aborted, waiting.isStopping]).to.deep.equal([false, false])
    clock.advance(1)
    expect(await asked).to.include({ kind: 'unreachable' })
    expect(waiting.isStopping).to.equal(true)
    const late = await rejection(waiting.request({ destination: B, method: 'GET', path: '/_matrix/x' }))
    expect(late).to.include({ kind: 'unreachable' })
    // It is not the other server's fault.
    expect(marks).to.deep.equal([])
  })

  it('does not wait for whoever gives up', async () => {
    const ending = new AbortController()
    let signal: AbortSignal | undefined
    const waiting = client({
      request: (request) => {
        signal = request.signal
        ending.abort()
        throw new HttpFailure('aborted', 'the request was given up')
      },
    })
    const request = { destination: B, method: 'GET', path: '/_matrix/x', signal: ending.signal } as const
    expect(await rejection(waiting.request(request))).to.include({ kind: 'unreachable' })
    expect(signal?.aborted).to.equal(true)
  })
})
