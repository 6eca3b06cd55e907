import { expect } from 'chai'
import { createSigner, makeSigningKey } from '../../../src/protocol/signing-keys.js'
import { formatXMatrix, requestText } from '../../../src/protocol/x-matrix.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { rejection } from '../../support/rejection.js'
import { startFederation, type TestFederation } from '../../support/federation.js'

const SEND = { method: 'PUT', path: '/_matrix/federation/v1/send/x', body: {} } as const

describe('requests between servers', () => {
  let federation: TestFederation
  let fake: FakeHomeserver
  before(async () => {
    federation = await startFederation(['a.test', 'closed.test', 'busy.test'], {
      configOf: {
        'closed.test': {
          federation_domain_whitelist: ['friend.test'],
          federation_whitelist_endpoint_enabled: true,
        },
        'busy.test': { rc_federation: { sleep_limit: 100, sleep_delay: 0, reject_limit: 0, concurrent: 1 } },
      },
    })
    fake = await federation.fake('fake.test')
  })
  after(() => federation[Symbol.asyncDispose]())

  it('are answered when they are signed', async () => {
    const { status, json } = await fake.send('a.test', { ...SEND, path: '/_matrix/federation/v1/send/1' })
    expect(status).to.equal(200)
    expect(json).to.deep.equal({ pdus: {} })
  })

  it('are refused without a signature, with a wrong one, and by those who are not who they say', async () => {
    const other = createSigner(fake.serverName, makeSigningKey('fake', Buffer.alloc(32, 9)))
    const text = requestText({
      method: 'PUT',
      uri: SEND.path,
      origin: fake.serverName,
      destination: 'a.test',
    })
    const wrong = formatXMatrix({
      origin: fake.serverName,
      destination: 'a.test',
      keyId: fake.signer.keyId,
      signature: fake.signer.sign(text),
    })
    for (const [expected, request] of [
      [401, { ...SEND, authorization: null }],
      [401, { ...SEND, authorization: 'Bearer syt_token' }],
      [400, { ...SEND, authorization: 'X-Matrix nonsense' }],
      [401, { ...SEND, authorization: wrong }],
      [401, { ...SEND, signer: other }],
    ] as const) {
      const { status, json } = await fake.send('a.test', request)
      expect(status).to.equal(expected)
      expect(json).to.have.property('errcode', 'M_UNAUTHORIZED')
    }
  })

  it('are refused when their body is no JSON that can be signed', async () => {
    const rawBody = `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`
    const { status, json } = await fake.send('a.test', { ...SEND, rawBody })
    expect(status).to.equal(400)
    expect(json).to.have.property('errcode', 'M_BAD_JSON')
  })

  it('are signed with the numbers that the other server writes', async () => {
    // As software writes fractions that keeps them apart from integers: the signature is of this text.
    const raw = '{"edus":[],"origin":"fake.test","pdus":[],"x":1.0,"y":12345678901234567890}'
    const uri = '/_matrix/federation/v1/send/exact'
    const signed = `{"content":${raw},"destination":"a.test","method":"PUT","origin":"fake.test","uri":"${uri}"}`
    const authorization = formatXMatrix({
      origin: fake.serverName,
      destination: 'a.test',
      keyId: fake.signer.keyId,
      signature: fake.signer.sign(signed),
    })
    const { status } = await fake.send('a.test', { method: 'PUT', path: uri, rawBody: raw, authorization })
    expect(status).to.equal(200)
  })

  it('have paths that are known, and methods', async () => {
    const unknown = await fake.send('a.test', { path: '/_matrix/federation/v1/unknown' })
    expect([unknown.status, unknown.json['errcode']]).to.deep.equal([404, 'M_UNRECOGNIZED'])
    const method = await fake.send('a.test', { ...SEND, method: 'POST' })
    expect([method.status, method.json['errcode']]).to.deep.equal([405, 'M_UNRECOGNIZED'])
  })

  it('may ask for the version without a signature', async () => {
    const { json } = await fake.send('a.test', {
      path: '/_matrix/federation/v1/version',
      authorization: null,
    })
    expect(json).to.have.nested.property('server.name', 'mxhs')
    expect(json).to.have.nested.property('server.version').that.matches(/^\d/)
  })

  it('are not answered at a port for clients alone', async () => {
    const client = federation.get('a.test').client()
    expect((await client.request('GET', '/_matrix/key/v2/server')).status).to.equal(404)
  })

  describe('with a list of servers', () => {
    it('are refused to others, in both directions', async () => {
      const { status, json } = await fake.send('closed.test', SEND)
      expect([status, json['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
      const { federationClient } = federation.get('closed.test').server.services
      expect(federationClient.mayTalkTo(fake.serverName)).to.be.false
      expect((await (await federation.fake('friend.test')).send('closed.test', SEND)).status).to.equal(200)
    })

    it('tell clients of the list', async () => {
      const path = '/_synapse/client/v1/config/federation_whitelist'
      const alice = await federation.get('closed.test').register('alice')
      expect((await alice.request('GET', path)).body).to.deep.equal({
        whitelist_enabled: true,
        whitelist: ['friend.test'],
      })
      const bob = await federation.get('a.test').register('bob')
      expect((await bob.request('GET', path)).status).to.equal(404)
    })
  })

  it('are bounded by server', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        fake.send('busy.test', { ...SEND, path: `/_matrix/federation/v1/send/${index}` }),
      ),
    )
    const refused = answers.filter(({ status }) => status === 429)
    expect(answers.filter(({ status }) => status === 200)).to.have.length(10 - refused.length)
    for (const { json, headers } of refused) {
      expect(json).to.have.property('errcode', 'M_LIMIT_EXCEEDED')
      expect(headers).to.have.property('retry-after')
    }
  })

  it('end what is held against a server that has failed', async () => {
    const down = await federation.fake('down.test')
    await federation.network.setLink('a.test', 'down.test', 'refused')
    const { federationClient } = federation.get('a.test').server.services
    const request = {
      destination: down.serverName,
      method: 'GET',
      path: '/_matrix/federation/v1/version',
    } as const
    const kinds: string[] = []
    for (let count = 0; count < 2; count++) {
      kinds.push(((await rejection(federationClient.request(request))) as { kind: string }).kind)
    }
    expect(kinds).to.deep.equal(['unreachable', 'backoff'])
    await federation.network.setLink('a.test', 'down.test', 'open')
    expect((await down.send('a.test', SEND)).status).to.equal(200)
    expect(await federationClient.request(request)).to.have.property('server')
  })
})
