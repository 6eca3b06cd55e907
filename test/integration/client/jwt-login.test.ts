import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { expect } from 'chai'
import { SignJWT, UnsecuredJWT } from 'jose'
import type { UserId } from '../../../src/protocol/ids.js'
import type { JsonObject } from '../../../src/util/json.js'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import type { ClientResponse } from '../../support/matrix-client.js'

const LOGIN = '/_matrix/client/v3/login'
const TYPE = 'org.matrix.login.jwt'
const SECRET = 'a secret that both sides share'
const JWT = { enabled: true, secret: SECRET, algorithm: 'HS256' }

function sign(
  claims: Readonly<Record<string, unknown>>,
  key: string | KeyObject = SECRET,
  header: { readonly alg: string; readonly [name: string]: unknown } = { alg: 'HS256' },
): Promise<string> {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key
  return new SignJWT(claims).setProtectedHeader(header).sign(bytes)
}

function logIn(hs: TestHomeserver, token?: string, more: JsonObject = {}): Promise<ClientResponse> {
  return hs
    .client()
    .request('POST', LOGIN, { body: { type: TYPE, ...(token !== undefined && { token }), ...more } })
}

async function refusal(hs: TestHomeserver, token: string): Promise<unknown[]> {
  const { status, body } = await logIn(hs, token)
  return [status, body['errcode'], body['error']]
}

forEachServerDatabase('logging in with a token of another service', (database) => {
  it('makes the account first and finds it later', async () => {
    const jwt_config = { ...JWT, display_name_claim: 'name' }
    await using hs = await startHomeserver({ database, config: { jwt_config } })
    const { flows } = await hs.client().must('GET', LOGIN)
    expect(flows).to.deep.include({ type: TYPE })
    const token = await sign({ sub: 'alice', name: 'Alice A.' })
    // Both at once: one of them makes the account.
    const [first, second] = await Promise.all([logIn(hs, token, { device_id: 'A' }), logIn(hs, token)])
    for (const { status, body } of [first, second])
      expect([status, body['user_id']]).to.deep.equal([200, '@alice:hs.test'])
    expect(first.body['device_id']).to.equal('A')
    const profile = await hs.client().must('GET', '/_matrix/client/v3/profile/@alice:hs.test')
    expect(profile['displayname']).to.equal('Alice A.')
    const capitals = await logIn(hs, await sign({ sub: 'ALICE', name: 'Other' }))
    expect(capitals.body['user_id']).to.equal('@alice:hs.test')
    expect((await logIn(hs, await sign({ sub: 'bob', name: '\0' }))).status).to.equal(200)
    const bob = await hs.client().must('GET', '/_matrix/client/v3/profile/@bob:hs.test')
    expect(bob['displayname']).to.equal('bob')
  })

  it('finds accounts of older days, whatever their letters', async () => {
    const config = { jwt_config: JWT, allow_guest_access: true }
    await using hs = await startHomeserver({ database, config })
    const { accountRegistration } = hs.server.services
    for (const name of ['Alice', 'BOB', 'Bob']) {
      const userId = `@${name}:hs.test` as UserId
      await accountRegistration.registerDirectly({ userId, username: undefined, password: undefined })
    }
    const guest = await accountRegistration.registerGuest(undefined)
    const userOf = async (sub: string) => (await logIn(hs, await sign({ sub }))).body['user_id']
    expect(await userOf('alice')).to.equal('@Alice:hs.test')
    expect(await userOf('BOB')).to.equal('@BOB:hs.test')
    expect((await refusal(hs, await sign({ sub: 'bob' })))[0]).to.equal(403)
    const [, number = ''] = /^@(\d+):/.exec(guest.userId) ?? []
    expect((await refusal(hs, await sign({ sub: number })))[0]).to.equal(403)
  })

  it('refuses what cannot be a name', async () => {
    await using hs = await startHomeserver({ database, config: { jwt_config: JWT } })
    await hs.register('alice')
    for (const sub of ['@alice:hs.test', 'alice:hs.test', '@alice', '\0', '\ud800', 7, ['alice'], null, {}]) {
      const token = await sign({ sub })
      const { status, body } = await logIn(hs, token)
      expect([status, body['errcode']], JSON.stringify(sub)).to.deep.equal([403, 'M_FORBIDDEN'])
    }
    for (const sub of ['', '_alice', '123', 'ä', 'a b', 'x'.repeat(300)])
      expect((await refusal(hs, await sign({ sub }))).slice(0, 2)).to.deep.equal([400, 'M_INVALID_USERNAME'])
    expect((await refusal(hs, await sign({})))[2]).to.equal('Invalid JWT')
  })
})

describe('tokens of another service', () => {
  it('are no way to log in unless they are switched on', async () => {
    await using hs = await startHomeserver({ config: { jwt_config: { ...JWT, enabled: false } } })
    expect(JSON.stringify(await hs.client().must('GET', LOGIN))).not.to.contain(TYPE)
    const { status, body } = await logIn(hs, await sign({ sub: 'alice' }))
    expect([status, body['errcode']]).to.deep.equal([400, 'M_UNKNOWN'])
  })

  it('must be signed as the configuration says', async () => {
    await using hs = await startHomeserver({ config: { jwt_config: JWT } })
    expect((await logIn(hs)).status).to.equal(403)
    expect(await refusal(hs, await sign({ sub: 'alice' }, 'another secret'))).to.deep.equal([
      403,
      'M_FORBIDDEN',
      'JWT validation failed: Signature verification failed',
    ])
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const good = await sign({ sub: 'alice' })
    const [, claims = '', signature = ''] = good.split('.')
    const header = (json: object): string => Buffer.from(JSON.stringify(json)).toString('base64url')
    const forged = [
      '',
      'a.b.c',
      new UnsecuredJWT({ sub: 'alice' }).encode(),
      `${header({ alg: 'none' })}.${claims}.`,
      `${header({ alg: 'HS256' })}.${claims}.`,
      `${header({ alg: 'HS256', crit: ['exp'] })}.${claims}.${signature}`,
      `${good}.${signature}`,
      await sign({ sub: 'alice' }, SECRET, { alg: 'HS512' }),
      await sign({ sub: 'alice' }, privateKey, { alg: 'RS256' }),
    ]
    for (const token of forged)
      expect((await refusal(hs, token)).slice(0, 2), token).to.deep.equal([403, 'M_FORBIDDEN'])
    expect((await logIn(hs, good)).status).to.equal(200)
  })

  it('are not signed with a public key', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const secret = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const jwt_config = { enabled: true, secret, algorithm: 'RS256' }
    await using hs = await startHomeserver({ config: { jwt_config } })
    for (const alg of ['HS256', 'HS512'])
      expect((await refusal(hs, await sign({ sub: 'alice' }, secret, { alg })))[0]).to.equal(403)
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const jwk = stranger.export({ format: 'jwk' })
    const header = { alg: 'RS256', jwk: { kty: jwk.kty, n: jwk.n, e: jwk.e } }
    expect((await refusal(hs, await sign({ sub: 'alice' }, stranger, header)))[0]).to.equal(403)
    expect((await logIn(hs, await sign({ sub: 'alice' }, privateKey, { alg: 'RS256' }))).status).to.equal(200)
  })

  it('are good in their time, with two minutes to spare', async () => {
    const clock = new ManualClock()
    await using hs = await startHomeserver({ clock, config: { jwt_config: JWT } })
    const now = Math.floor(clock.now() / 1000)
    const attempt = async (claims: Readonly<Record<string, unknown>>): Promise<number> =>
      (await logIn(hs, await sign({ sub: 'alice', ...claims }))).status
    expect(await attempt({ exp: now - 100, nbf: now + 100, iat: now + 100 })).to.equal(200)
    for (const claims of [{ exp: now - 130 }, { nbf: now + 130 }, { iat: now + 130 }])
      expect(await attempt(claims), JSON.stringify(claims)).to.equal(403)
    expect(await attempt({ exp: 'never' })).to.equal(403)
  })

  it('come from the issuer and are for this server where the configuration says so', async () => {
    const jwt_config = { ...JWT, issuer: 'https://iss', audiences: ['a', 'b'] }
    await using hs = await startHomeserver({ config: { jwt_config } })
    const good = { sub: 'alice', iss: 'https://iss', aud: ['other', 'b'] }
    expect((await logIn(hs, await sign(good))).status).to.equal(200)
    for (const wrong of [{ iss: 'https://iss/' }, { iss: undefined }, { aud: 'c' }, { aud: undefined }])
      expect((await refusal(hs, await sign({ ...good, ...wrong })))[0]).to.equal(403)
    await using open = await startHomeserver({ config: { jwt_config: JWT } })
    expect((await refusal(open, await sign({ sub: 'alice', aud: 'c' })))[0]).to.equal(403)
  })

  it('let nobody in whose account has ended or is locked, and nobody too often', async () => {
    const rc_login = { account: { per_second: 0.001, burst_count: 2 } }
    await using hs = await startHomeserver({ config: { jwt_config: JWT, rc_login } })
    const alice = await hs.register('alice')
    await hs.server.services.accountDeactivation.deactivate(alice.userId as UserId, { erase: false })
    expect((await refusal(hs, await sign({ sub: 'alice' }))).slice(0, 2)).to.deep.equal([
      403,
      'M_USER_DEACTIVATED',
    ])
    const token = await sign({ sub: 'bob' })
    const statuses = [await logIn(hs, token), await logIn(hs, token), await logIn(hs, token)]
    expect(statuses.map(({ status }) => status)).to.deep.equal([200, 200, 429])
  })

  it('make no accounts for which there is no place', async () => {
    const config = { jwt_config: JWT, limit_usage_by_mau: true, max_mau_value: 0 }
    await using hs = await startHomeserver({ config })
    await hs.register('alice')
    expect((await refusal(hs, await sign({ sub: 'bob' }))).slice(0, 2)).to.deep.equal([
      403,
      'M_RESOURCE_LIMIT_EXCEEDED',
    ])
    expect((await logIn(hs, await sign({ sub: 'alice' }))).status).to.equal(200)
  })

  it('do not reach into the names of application services', async () => {
    await using service = await FakeAppservice.start()
    const config = {
      jwt_config: JWT,
      allow_underscore_prefixed_registration: true,
      app_service_config_files: [service.file],
    }
    await using hs = await startHomeserver({ config })
    const bridged = await refusal(hs, await sign({ sub: '_bridge_bob' }))
    expect(bridged.slice(0, 2)).to.deep.equal([400, 'M_EXCLUSIVE'])
    expect((await logIn(hs, await sign({ sub: '_bob' }))).status).to.equal(200)
  })
})
