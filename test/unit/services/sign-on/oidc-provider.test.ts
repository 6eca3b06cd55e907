import { createHash, generateKeyPairSync } from 'node:crypto'
import { expect } from 'chai'
import { decodeProtectedHeader, jwtVerify, UnsecuredJWT } from 'jose'
import { HttpFailure } from '../../../../src/net/http-client.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { OidcClientFixture } from '../../../support/oidc-client.js'
import { rejection } from '../../../support/rejection.js'

const ISSUER = 'https://club.test'
const DISCOVERY = `${ISSUER}/.well-known/openid-configuration`

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  const error = (await rejection(promise)) as Error & { code?: unknown }
  return error.name === 'SignOnFailure' ? error.code : error
}

describe('OidcProvider', () => {
  it('sends people away with what the answer is judged by', async () => {
    const fixture = new OidcClientFixture({ scopes: ['openid', 'email'] })
    const { url, memory } = await fixture.begin()
    expect(url.origin + url.pathname).to.equal(`${ISSUER}/authorize`)
    expect(Object.fromEntries(url.searchParams)).to.deep.equal({
      response_type: 'code',
      client_id: 'mxhs',
      redirect_uri: 'https://hs.test/callback',
      scope: 'openid email',
      state: 'a state',
      nonce: memory['nonce'],
    })
    const again = await fixture.begin()
    expect(again.memory['nonce']).not.to.equal(memory['nonce'])
  })

  it('binds the code to this server where that is wanted (PKCE)', async () => {
    const methods = { code_challenge_methods_supported: ['plain', 'S256'] }
    const cases = [
      [{ pkce_method: 'auto' }, methods, true],
      [{ pkce_method: 'auto' }, { code_challenge_methods_supported: ['plain'] }, false],
      [{ pkce_method: 'always' }, {}, true],
      [{ pkce_method: 'never' }, methods, false],
    ] as const
    for (const [settings, described, isUsed] of cases) {
      const fixture = new OidcClientFixture(settings)
      fixture.describe({ ...described } as JsonObject)
      const { url, memory } = await fixture.begin()
      expect(url.searchParams.has('code_challenge'), JSON.stringify(settings)).to.equal(isUsed)
      if (!isUsed) continue
      const digest = createHash('sha256')
        .update(memory['verifier'] as string)
        .digest('base64url')
      expect(url.searchParams.get('code_challenge')).to.equal(digest)
      expect(url.searchParams.get('code_challenge_method')).to.equal('S256')
      await fixture.signOnWith()
      const { body } = fixture.sent.find((sent) => sent.url === `${ISSUER}/token`)!
      expect(body.get('code_verifier')).to.match(/^[A-Za-z0-9._~-]{43,128}$/)
    }
  })

  it('hands on what the operator lets it, and nothing that security hangs on', async () => {
    const fixture = new OidcClientFixture({
      additional_authorization_parameters: { acr_values: 'high', prompt: 'login' },
      passthrough_authorization_parameters: ['login_hint', 'prompt'],
      redirect_uri: 'https://elsewhere.test/back',
    })
    const query = new Map([
      ['login_hint', 'alice'],
      ['prompt', 'none'],
      ['redirect_uri', 'https://evil.test/'],
      ['state', 'another'],
    ])
    const { searchParams } = (await fixture.begin(query)).url
    expect(searchParams.get('acr_values')).to.equal('high')
    expect(searchParams.get('login_hint')).to.equal('alice')
    expect(searchParams.get('prompt')).to.equal('none')
    expect(searchParams.getAll('state')).to.deep.equal(['a state'])
    expect(searchParams.getAll('redirect_uri')).to.deep.equal(['https://elsewhere.test/back'])
    const long = new Map([['login_hint', 'x'.repeat(1000)]])
    expect((await fixture.begin(long)).url.searchParams.has('login_hint')).to.equal(false)
  })

  it('knows whether the answer is sent by a page of the provider', () => {
    const mode = { response_mode: 'form_post' }
    const cases: [JsonObject, boolean][] = [
      [{}, false],
      [{ additional_authorization_parameters: mode }, true],
      [{ additional_authorization_parameters: { response_mode: 'query' } }, false],
      [{ authorization_endpoint: `${ISSUER}/authorize?response_mode=form_post` }, true],
      [{ passthrough_authorization_parameters: ['response_mode'] }, true],
    ]
    for (const [settings, isSent] of cases)
      expect(new OidcClientFixture(settings).provider.answersByPost, JSON.stringify(settings)).to.equal(
        isSent,
      )
  })

  it('takes an ID token that is right', async () => {
    const fixture = new OidcClientFixture()
    expect(await fixture.signOnWith({ sid: 'session', picture: 'https://club.test/a.png' })).to.deep.include({
      externalId: '17',
      providerSession: 'session',
      localpart: 'alice',
      pictureUrl: 'https://club.test/a.png',
    })
    const { body, headers } = fixture.sent.find(({ url }) => url === `${ISSUER}/token`)!
    expect(Object.fromEntries(body)).to.deep.equal({
      grant_type: 'authorization_code',
      code: 'code',
      redirect_uri: 'https://hs.test/callback',
    })
    expect(headers.get('authorization')).to.equal(`Basic ${btoa('mxhs:secret')}`)
    const now = fixture.clock.now() / 1000
    expect(await fixture.signOnWith({ aud: ['mxhs'], exp: now - 100, iat: now + 100 })).to.include({
      externalId: '17',
    })
    expect(await fixture.signOnWith({ aud: ['mxhs', 'b'], azp: 'mxhs' })).to.include({ externalId: '17' })
  })

  it('takes no ID token that is wrong in anything', async () => {
    const fixture = new OidcClientFixture()
    const now = fixture.clock.now() / 1000
    const wrong: Record<string, unknown>[] = [
      { nonce: 'of another' },
      { nonce: undefined },
      { iss: 'https://evil.test' },
      { iss: `${ISSUER}/` },
      { iss: undefined },
      { aud: 'another' },
      { aud: undefined },
      { aud: ['mxhs', 'another'] },
      { azp: 'another' },
      { exp: now - 130 },
      { exp: undefined },
      { iat: now + 130 },
      { iat: undefined },
      { nbf: now + 130 },
      { sub: undefined },
      { sub: '' },
      { sub: 17 },
    ]
    for (const claims of wrong)
      expect(await codeOf(fixture.signOnWith(claims)), JSON.stringify(claims)).to.equal('invalid_token')
    expect(await codeOf(fixture.signOn(() => ({})))).to.equal('invalid_token')
    expect(await codeOf(fixture.signOn(() => ({ id_token: 'a.b.c' })))).to.equal('invalid_token')
  })

  it('takes no ID token that somebody else has signed', async () => {
    const fixture = new OidcClientFixture({ id_token_signing_alg_values_supported: ['RS256'] })
    fixture.describe({ id_token_signing_alg_values_supported: ['none', 'HS256', 'RS256'] })
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const pem = fixture.publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const forgeries: (() => string | Promise<string>)[] = [
      () => new UnsecuredJWT(fixture.claims()).encode(),
      () => fixture.sign(fixture.claims(), {}, stranger),
      () => fixture.sign(fixture.claims(), { kid: 'other' }, stranger),
      () => fixture.sign(fixture.claims(), { alg: 'HS256' }, Buffer.from(pem)),
      () => fixture.sign(fixture.claims(), { alg: 'HS256' }, Buffer.from('secret')),
      () => fixture.sign(fixture.claims(), { alg: 'RS512' }),
      async () => `${(await fixture.sign(fixture.claims())).split('.').slice(0, 2).join('.')}.`,
      async () => {
        const [header, , signature] = (await fixture.sign(fixture.claims())).split('.')
        const claims = Buffer.from(JSON.stringify(fixture.claims({ sub: 'admin' }))).toString('base64url')
        return [header, claims, signature].join('.')
      },
    ]
    for (const forge of forgeries)
      expect(await codeOf(fixture.signOn(async () => ({ id_token: await forge() }))), String(forge)).to.equal(
        'invalid_token',
      )
    // Nor where the provider says that it does not sign at all.
    const lax = new OidcClientFixture()
    lax.describe({ id_token_signing_alg_values_supported: ['none', 'HS256'] })
    const unsigned = lax.signOn(() => ({ id_token: new UnsecuredJWT(lax.claims()).encode() }))
    expect(await codeOf(unsigned)).to.equal('invalid_token')
    const shared = lax.signOn(async () => ({
      id_token: await lax.sign(lax.claims(), { alg: 'HS256' }, Buffer.from('secret')),
    }))
    expect(await codeOf(shared)).to.equal('invalid_token')
  })

  it('wants answers from the provider alone (RFC 9207)', async () => {
    const fixture = new OidcClientFixture()
    expect(await codeOf(fixture.signOnWith({}, { iss: 'https://evil.test' }))).to.equal('invalid_request')
    expect(await fixture.signOnWith({}, { iss: ISSUER })).to.include({ externalId: '17' })
    const strict = new OidcClientFixture()
    strict.describe({ authorization_response_iss_parameter_supported: true })
    expect(await codeOf(strict.signOnWith())).to.equal('invalid_request')
    expect(await strict.signOnWith({}, { iss: ISSUER })).to.include({ externalId: '17' })
  })

  it('says what the provider says where it refuses', async () => {
    const fixture = new OidcClientFixture()
    const denied = { error: 'access_denied', error_description: 'Not today' }
    const error = (await rejection(fixture.signOnWith({}, denied))) as Error
    expect(error).to.include({ code: 'access_denied', message: 'Not today' })
    expect(fixture.sent.map(({ url }) => url)).not.to.include(`${ISSUER}/token`)
    expect(await codeOf(fixture.signOnWith({}, { code: '' }))).to.equal('invalid_request')
    const { memory } = await fixture.begin()
    fixture.answers.set(`${ISSUER}/token`, () =>
      Response.json({ error: 'invalid_grant', error_description: 'The code is used' }, { status: 400 }),
    )
    const purpose = { kind: 'confirm', sessionId: 's' } as const
    const refused = fixture.provider.identify({ purpose, memory }, new Map([['code', 'x']]))
    expect(await codeOf(refused)).to.equal('invalid_grant')
  })

  it('asks the userinfo endpoint where it is to, and of the same person alone', async () => {
    const fixture = new OidcClientFixture({ user_profile_method: 'userinfo_endpoint' })
    fixture.show(`${ISSUER}/userinfo`, () => ({ sub: '17', name: 'from userinfo' }))
    expect(await fixture.signOnWith({ sid: 'session' })).to.include({
      externalId: '17',
      providerSession: 'session',
      localpart: 'from=20userinfo',
    })
    const { headers } = fixture.sent.find(({ url }) => url === `${ISSUER}/userinfo`)!
    expect(headers.get('authorization')).to.equal('Bearer access')
    for (const sub of ['18', undefined, 17]) {
      fixture.show(`${ISSUER}/userinfo`, () => ({ ...(sub !== undefined && { sub }), name: 'alice' }))
      expect(await codeOf(fixture.signOnWith())).to.equal('fetch_error')
    }
    for (const answer of [
      new Response('{', { headers: { 'content-type': 'application/json' } }),
      Response.json(['a']),
      Response.json({ sub: '17' }, { status: 401 }),
    ]) {
      fixture.answers.set(`${ISSUER}/userinfo`, () => answer)
      expect(await codeOf(fixture.signOnWith())).to.equal('fetch_error')
    }
  })

  it('looks at what the access token is before it uses it', async () => {
    const fixture = new OidcClientFixture({ user_profile_method: 'userinfo_endpoint' })
    fixture.show(`${ISSUER}/userinfo`, () => ({ sub: '17', name: 'alice' }))
    const at_hash = createHash('sha256').update('access').digest().subarray(0, 16).toString('base64url')
    expect(await fixture.signOnWith({ at_hash })).to.include({ externalId: '17' })
    for (const wrong of ['AAAA', at_hash.slice(1), 7])
      expect(await codeOf(fixture.signOnWith({ at_hash: wrong }))).to.equal('invalid_token')
  })

  it('reads what the provider has signed of a person', async () => {
    const fixture = new OidcClientFixture({ user_profile_method: 'userinfo_endpoint' })
    const type = { 'content-type': 'application/jwt' }
    const show = (token: Promise<string>): void =>
      void fixture.answers.set(`${ISSUER}/userinfo`, async () => new Response(await token, { headers: type }))
    const info = { iss: ISSUER, aud: 'mxhs', sub: '17', name: 'signed' }
    show(fixture.sign(info))
    expect(await fixture.signOnWith()).to.include({ localpart: 'signed' })
    show(fixture.sign({ ...info, aud: 'another' }))
    expect(await codeOf(fixture.signOnWith())).to.equal('fetch_error')
    show(Promise.resolve(new UnsecuredJWT(info).encode()))
    expect(await codeOf(fixture.signOnWith())).to.equal('fetch_error')
  })

  it('does without ID tokens where there are none (OAuth 2.0)', async () => {
    const fixture = new OidcClientFixture({
      discover: false,
      scopes: ['read:user'],
      authorization_endpoint: `${ISSUER}/authorize`,
      token_endpoint: `${ISSUER}/token`,
      userinfo_endpoint: 'https://api.club.test/user',
      user_mapping_provider: { config: { subject_claim: 'id', localpart_template: '{{ user.login }}' } },
    })
    fixture.show('https://api.club.test/user', () => ({ id: 4711, login: 'Alice', name: null }))
    expect(await fixture.signOn(() => ({}))).to.include({ externalId: '4711', localpart: 'alice' })
    fixture.show('https://api.club.test/user', () => ({ login: 'Alice' }))
    expect(await codeOf(fixture.signOn(() => ({})))).to.equal('mapping_error')
    expect(fixture.sent.map(({ url }) => url)).not.to.include(DISCOVERY)
  })

  it('needs no name of those who only confirm who they are', async () => {
    const fixture = new OidcClientFixture({
      attribute_requirements: [{ attribute: 'group', value: 'staff' }],
      user_mapping_provider: { config: { localpart_template: '{{ user.name.missing() }}' } },
    })
    const token = async () => ({ id_token: await fixture.sign(fixture.claims()) })
    expect(await fixture.signOn(token, {}, 'confirm')).to.deep.equal({ externalId: '17' })
    expect(await codeOf(fixture.signOn(token))).to.equal('unauthorised')
  })

  it('proves which client it is in the way that is wanted', async () => {
    const sentBy = async (settings: JsonObject) => {
      const fixture = new OidcClientFixture(settings)
      await fixture.signOnWith({ aud: settings['client_id'] ?? 'mxhs' })
      return fixture.sent.find(({ url }) => url === `${ISSUER}/token`)!
    }
    const post = await sentBy({ client_auth_method: 'client_secret_post' })
    expect(post.body.get('client_secret')).to.equal('secret')
    expect(post.headers.has('authorization')).to.equal(false)
    const none = await sentBy({ client_auth_method: 'none' })
    expect([none.body.get('client_id'), none.body.has('client_secret')]).to.deep.equal(['mxhs', false])
    const odd = await sentBy({ client_id: 'Iv1.a_b-c', client_secret: 'a+b:c/d' })
    expect(atob(odd.headers.get('authorization')!.slice(6))).to.equal('Iv1.a_b-c:a%2Bb%3Ac%2Fd')
  })

  it('signs its secret where it has a key for that', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const fixture = new OidcClientFixture({
      client_secret: null,
      client_auth_method: 'client_secret_post',
      client_secret_jwt_key: { key, jwt_header: { alg: 'ES256', kid: 'K' }, jwt_payload: { iss: 'TEAM' } },
    })
    const secrets: string[] = []
    for (const waitedMs of [0, 49 * 60_000, 2 * 60_000]) {
      fixture.clock.advance(waitedMs)
      await fixture.signOnWith()
      secrets.push(fixture.sent.findLast(({ url }) => url === `${ISSUER}/token`)!.body.get('client_secret')!)
    }
    expect(secrets[1]).to.equal(secrets[0])
    expect(secrets[2]).not.to.equal(secrets[0])
    expect(decodeProtectedHeader(secrets[0]!)).to.deep.equal({ alg: 'ES256', kid: 'K' })
    const currentDate = new Date(fixture.clock.now() - 51 * 60_000)
    const { payload } = await jwtVerify(secrets[0]!, publicKey, { currentDate })
    expect(payload).to.include({ iss: 'TEAM', sub: 'mxhs', aud: ISSUER })
    expect(payload.exp! - payload.iat!).to.equal(3600)
  })
})

describe('what a provider of OpenID Connect says of itself', () => {
  it('is asked for once an hour, and kept while it cannot be', async () => {
    const fixture = new OidcClientFixture()
    const asked = () => fixture.sent.filter(({ url }) => url === DISCOVERY).length
    await Promise.all([fixture.begin(), fixture.begin()])
    await fixture.begin()
    expect(asked()).to.equal(1)
    fixture.clock.advance(61 * 60_000)
    fixture.answers.delete(DISCOVERY)
    await fixture.begin()
    await fixture.begin()
    expect(asked()).to.equal(2)
    fixture.clock.advance(6_000)
    fixture.describe({ authorization_endpoint: `${ISSUER}/new` })
    expect((await fixture.begin()).url.pathname).to.equal('/new')
  })

  it('need not be there at the start', async () => {
    const fixture = new OidcClientFixture()
    fixture.answers.set(DISCOVERY, () => Promise.reject(new HttpFailure('unreachable', 'down')))
    await fixture.provider.prepare(AbortSignal.abort())
    expect(fixture.problems, 'nobody wants to know any more').to.deep.equal([])
    fixture.clock.advance(6_000)
    await fixture.provider.prepare()
    expect(fixture.problems).to.have.length(1)
    expect(await codeOf(fixture.begin())).to.equal('provider_unavailable')
    fixture.describe({})
    expect(await codeOf(fixture.begin()), 'it is left alone for a moment').to.equal('provider_unavailable')
    fixture.clock.advance(6_000)
    await fixture.begin()
  })

  it('is refused where nobody could rely on it', async () => {
    const wrong: object[] = [
      { issuer: 'https://evil.test' },
      { authorization_endpoint: 'http://club.test/authorize' },
      { token_endpoint: 'http://club.test/token' },
      { jwks_uri: 'http://club.test/keys' },
      { jwks_uri: null },
      { token_endpoint: 7 },
      { authorization_endpoint: 'https://' },
      { token_endpoint_auth_methods_supported: ['private_key_jwt'] },
      { response_types_supported: ['id_token'] },
    ]
    for (const described of wrong) {
      const fixture = new OidcClientFixture()
      fixture.describe({ ...described })
      expect(await codeOf(fixture.begin()), JSON.stringify(described)).to.equal('provider_unavailable')
    }
    const slash = new OidcClientFixture()
    slash.describe({ issuer: `${ISSUER}/` })
    expect(await slash.signOnWith({ iss: `${ISSUER}/` })).to.include({ externalId: '17' })
    const lax = new OidcClientFixture({ skip_verification: true })
    lax.describe({ authorization_endpoint: 'http://club.test/authorize' })
    expect((await lax.begin()).url.protocol).to.equal('http:')
    const script = new OidcClientFixture({ skip_verification: true })
    script.describe({ authorization_endpoint: 'javascript:alert(1)' })
    expect(await codeOf(script.begin())).to.equal('provider_unavailable')
  })

  it('gives way to what the configuration says', async () => {
    const fixture = new OidcClientFixture({ authorization_endpoint: 'https://login.club.test/' })
    expect((await fixture.begin()).url.host).to.equal('login.club.test')
  })
})
