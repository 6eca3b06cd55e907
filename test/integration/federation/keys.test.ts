import { expect } from 'chai'
import type { ServerName } from '../../../src/protocol/ids.js'
import { readServerKeys } from '../../../src/protocol/server-keys.js'
import { isSignedBy } from '../../../src/protocol/signed-json.js'
import type { JsonObject } from '../../../src/util/json.js'
import type { FakeHomeserver } from '../../support/fake-homeserver.js'
import { startFederation, type TestFederation } from '../../support/federation.js'

const HOUR_MS = 60 * 60_000
const OLD_KEY = 'O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik'
const UNSIGNED = { authorization: null } as const

describe('keys of servers', () => {
  let federation: TestFederation
  let fake: FakeHomeserver
  before(async () => {
    federation = await startFederation(['a.test', 'b.test'], {
      configOf: {
        'a.test': { old_signing_keys: { 'ed25519:old': { key: OLD_KEY, expired_ts: 1_500_000_000_000 } } },
        'b.test': { trusted_key_servers: [{ server_name: 'a.test' }] },
      },
    })
    fake = await federation.fake('fake.test')
  })
  after(() => federation[Symbol.asyncDispose]())

  for (const path of ['server', 'server/', 'server/ed25519:anything']) {
    it(`are published at ${path}, to everybody`, async () => {
      const { status, json } = await fake.send('a.test', { ...UNSIGNED, path: `/_matrix/key/v2/${path}` })
      expect(status).to.equal(200)
      const document = readServerKeys(json, 'a.test' as ServerName)
      if ('problem' in document) throw new Error(document.problem)
      expect(document.validUntilTs).to.be.within(Date.now() + 11 * HOUR_MS, Date.now() + 25 * HOUR_MS)
      expect(document.keys.map(({ keyId, isOld }) => [keyId, isOld])).to.deep.equal([
        ['ed25519:a_a_test', false],
        ['ed25519:old', true],
      ])
      expect(json['old_verify_keys']).to.deep.equal({
        'ed25519:old': { key: OLD_KEY, expired_ts: 1_500_000_000_000 },
      })
    })
  }

  describe('of others', () => {
    async function query(body: JsonObject): Promise<JsonObject[]> {
      const { status, json } = await fake.send('a.test', {
        ...UNSIGNED,
        method: 'POST',
        path: '/_matrix/key/v2/query',
        body: { server_keys: body },
      })
      expect(status).to.equal(200)
      return json['server_keys'] as JsonObject[]
    }

    async function ownKeys() {
      const { json } = await fake.send('a.test', { ...UNSIGNED, path: '/_matrix/key/v2/server' })
      const document = readServerKeys(json, 'a.test' as ServerName)
      if ('problem' in document) throw new Error(document.problem)
      return new Map(document.keys.map(({ keyId, key }) => [keyId, key]))
    }

    it('are told with a signature of the one that tells', async () => {
      for (const keys of [
        await query({ 'fake.test': {} }),
        await query({ 'fake.test': { 'ed25519:fake': { minimum_valid_until_ts: Date.now() } } }),
        (await fake.send('a.test', { ...UNSIGNED, path: '/_matrix/key/v2/query/fake.test' })).json[
          'server_keys'
        ] as JsonObject[],
      ]) {
        expect(keys).to.have.length(1)
        expect(readServerKeys(keys[0], fake.serverName)).to.not.have.property('problem')
        expect(isSignedBy(keys[0]!, 'a.test' as ServerName, await ownKeys())).to.be.true
      }
    })

    it('include those of the server that is asked', async () => {
      const [keys] = await query({ 'a.test': {} })
      expect(keys).to.have.property('server_name', 'a.test')
    })

    it('are fetched once and not for every question', async () => {
      const asked = (): number => fake.received('GET', '/_matrix/key/v2/server').length
      await query({ 'fake.test': {} })
      const before = asked()
      await query({ 'fake.test': {} })
      await query({ 'fake.test': { 'ed25519:fake': {} } })
      expect(asked()).to.equal(before)
    })

    it('are told though they are out of date, where there is nothing better', async () => {
      const late = await federation.fake('late.test')
      late.on('GET', '/_matrix/key/v2/server', () => ({ json: late.keyDocument(Date.now() - 1000) }))
      const [keys] = await query({ 'late.test': {} })
      expect(keys).to.have.property('server_name', 'late.test')
      await federation.network.setLink('a.test', 'late.test', 'refused')
      const wish = { 'ed25519:fake': { minimum_valid_until_ts: Date.now() + HOUR_MS } }
      expect(await query({ 'late.test': wish })).to.have.length(1)
    })

    it('are not there for servers that do not answer, or tell those of others', async () => {
      const liar = await federation.fake('liar.test')
      liar.on('GET', '/_matrix/key/v2/server', () => ({ json: fake.keyDocument() }))
      expect(await query({ 'nowhere.test': {}, 'liar.test': {} })).to.deep.equal([])
    })

    for (const [what, body] of Object.entries<JsonObject>({
      'no servers': {},
      'servers that are no object': { server_keys: [] },
      'a name that is none': { server_keys: { 'not a name': {} } },
      'keys that are no object': { server_keys: { 'a.test': 1 } },
      'criteria that are no object': { server_keys: { 'a.test': { 'ed25519:x': 1 } } },
      'a time that is none': { server_keys: { 'a.test': { 'ed25519:x': { minimum_valid_until_ts: 'x' } } } },
      'too many servers': {
        server_keys: Object.fromEntries(Array.from({ length: 501 }, (_, index) => [`s${index}.test`, {}])),
      },
    })) {
      it(`are not told for ${what}`, async () => {
        const { status } = await fake.send('a.test', {
          ...UNSIGNED,
          method: 'POST',
          path: '/_matrix/key/v2/query',
          body,
        })
        expect(status).to.equal(400)
      })
    }

    it('come from a notary where the server itself does not answer', async () => {
      const hidden = await federation.fake('hidden.test')
      await query({ 'hidden.test': {} })
      await federation.network.setLink('b.test', 'hidden.test', 'refused')
      const { status } = await hidden.sendTransaction('b.test', {})
      expect(status).to.equal(200)
    })
  })
})
