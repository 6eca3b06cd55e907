import type { RequestListener } from 'node:http'
import { expect } from 'chai'
import type { FederationError } from '../../../src/services/remote/federation-client.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { MISBEHAVIOUR } from '../../support/http-servers.js'
import { rejection } from '../../support/rejection.js'

const MIB = 1024 * 1024

describe('a server that does not behave', () => {
  let federation: TestFederation
  before(async () => {
    federation = await startFederation(['a.test'], { config: { federation: { client_timeout: 1000 } } })
  })
  after(() => federation[Symbol.asyncDispose]())

  async function evil(name: string, path: string, handler: RequestListener): Promise<FakeHomeserver> {
    const fake = await federation.fake(name)
    fake.on('GET', path, () => ({ raw: (response) => handler(response.req, response) }))
    return fake
  }

  async function ask({ serverName }: FakeHomeserver, path = '/_matrix/x'): Promise<FederationError> {
    const { federationClient } = federation.get('a.test').server.services
    const request = { destination: serverName, method: 'GET', path, maxBytes: MIB } as const
    return (await rejection(federationClient.request(request))) as FederationError
  }

  for (const [what, kind] of [
    ['endless', 'malformed'],
    ['huge', 'malformed'],
    ['trickle', 'unreachable'],
    ['silent', 'unreachable'],
    ['abrupt', 'unreachable'],
    ['loop', 'refused'],
  ] as const) {
    it(`gives no answer that counts: ${what}`, async () => {
      const fake = await evil(`${what}.test`, '/_matrix/x', MISBEHAVIOUR[what])
      const before = process.memoryUsage().rss
      expect(await ask(fake)).to.include({ name: 'FederationError', kind })
      expect(process.memoryUsage().rss - before).to.be.below(100 * MIB)
    })
  }

  it('gives none of another content than JSON', async () => {
    const fake = await evil('html.test', '/_matrix/x', (_request, response) => {
      response.setHeader('Content-Type', 'text/html')
      response.end('<html><h1>Welcome</h1></html>')
    })
    expect(await ask(fake)).to.include({ kind: 'malformed', status: 200 })
  })

  it('is not believed under the certificate of another', async () => {
    const fake = await federation.fake('masked.test', { certificateNames: ['other.test'] })
    const error = await ask(fake)
    expect(error).to.include({ kind: 'unreachable' })
    expect(error.message).to.contain('certificate')
    expect(fake.requests).to.deep.equal([])
  })

  it('does not make this one speak to its own network', async () => {
    await using guarded = await startFederation(['guarded.test'], {
      config: { ip_range_blacklist: ['127.0.0.0/8'] },
    })
    const fake = await guarded.fake('inside.test')
    const { federationClient } = guarded.get('guarded.test').server.services
    const request = { destination: fake.serverName, method: 'GET', path: '/_matrix/x' } as const
    expect(await rejection(federationClient.request(request))).to.include({ kind: 'denied' })
    expect(fake.requests).to.deep.equal([])
  })

  for (const what of ['endless', 'abrupt', 'loop'] as const) {
    it(`has no keys where it answers with what is ${what}`, async () => {
      const fake = await evil(`${what}-keys.test`, '/_matrix/key/v2/server', MISBEHAVIOUR[what])
      const { status, json } = await fake.sendTransaction('a.test', {})
      expect([status, json['errcode']]).to.deep.equal([401, 'M_UNAUTHORIZED'])
    })
  }

  it('has no keys where those are of another, or forged', async () => {
    const other = await federation.fake('other.test')
    const fake = await federation.fake('forger.test')
    for (const document of [
      other.keyDocument(),
      { ...other.keyDocument(), server_name: 'forger.test' },
      { ...fake.keyDocument(), verify_keys: other.keyDocument()['verify_keys']! },
      {},
    ]) {
      fake.on('GET', '/_matrix/key/v2/server', () => ({ json: document }))
      expect((await fake.sendTransaction('a.test', {})).status).to.equal(401)
    }
  })
})
