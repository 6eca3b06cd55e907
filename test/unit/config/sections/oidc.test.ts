import { generateKeyPairSync } from 'node:crypto'
import { expect } from 'chai'
import type { OidcProviderConfig } from '../../../../src/config/sections/oidc.js'
import { errorsOf, loadKeys, warningsOf } from '../../../support/load-config.js'
import { useScratch } from '../../../support/scratch.js'

const MINIMAL = { idp_id: 'club', idp_name: 'The Club', issuer: 'https://club.test', client_id: 'mxhs' }

async function load(provider: object): Promise<OidcProviderConfig> {
  const { config } = await loadKeys({ oidc_providers: [{ ...MINIMAL, ...provider }] })
  return config.oidc.providers[0]!
}

async function errorOf(provider: object): Promise<string> {
  return (await errorsOf({ oidc_providers: [{ ...MINIMAL, ...provider }] })).join('\n')
}

describe('providers of OpenID Connect', () => {
  const scratch = useScratch()

  it('are none unless there are some', async () => {
    for (const keys of [{}, { oidc_providers: null }, { oidc_providers: [], oidc_config: null }])
      expect((await loadKeys(keys)).config.oidc.providers).to.deep.equal([])
  })

  it('have the defaults of Synapse', async () => {
    expect(await load({})).to.deep.equal({
      id: 'oidc-club',
      name: 'The Club',
      icon: undefined,
      brand: undefined,
      issuer: 'https://club.test',
      discovers: true,
      endpoints: { authorization: undefined, token: undefined, userinfo: undefined, jwks: undefined },
      skipsVerification: false,
      clientId: 'mxhs',
      clientSecret: undefined,
      clientSecretKey: undefined,
      clientAuthMethod: 'none',
      pkce: 'auto',
      signatureAlgorithms: undefined,
      scopes: ['openid'],
      usesUserinfo: false,
      redirectUri: undefined,
      additionalParameters: {},
      passthroughParameters: [],
      allowsExistingUsers: false,
      registers: true,
      requirements: [],
      mapping: {
        subject: '{{ user.sub }}',
        picture: '{{ user.picture }}',
        localpart: undefined,
        displayName: undefined,
        email: undefined,
        confirmsLocalpart: false,
        extraAttributes: {},
      },
      logout: { isServed: false, ignoresSubject: false },
    })
    expect(await load({ client_secret: 's' })).to.include({ clientAuthMethod: 'client_secret_basic' })
    expect(await load({ scopes: ['read:user'] })).to.include({ usesUserinfo: true })
    expect(await load({ user_profile_method: 'userinfo_endpoint' })).to.include({ usesUserinfo: true })
    expect(await load({ idp_id: 'oidc' })).to.include({ id: 'oidc' })
    const sent = await load({ additional_authorization_parameters: { max_age: 0, prompt: 'login' } })
    expect(sent.additionalParameters).to.deep.equal({ max_age: '0', prompt: 'login' })
    const listeners = [{ port: 8008 }]
    expect(await warningsOf({ listeners, oidc_providers: [MINIMAL] })).to.deep.equal([])
  })

  it('may be one, as before, which is switched on', async () => {
    const { idp_id: _id, idp_name: _name, ...old } = MINIMAL
    const oidc_config = { ...old, enabled: true, user_mapping_provider: { config: { subject_claim: 'id' } } }
    const { providers } = (await loadKeys({ oidc_config, oidc_providers: [MINIMAL] })).config.oidc
    expect(providers.map(({ id, name }) => [id, name])).to.deep.equal([
      ['oidc-club', 'The Club'],
      ['oidc', 'OIDC'],
    ])
    expect(providers[1]?.mapping.subject).to.equal('{{ user.id }}')
    const off = { enabled: false, issuer: 7 }
    expect((await loadKeys({ oidc_config: off })).config.oidc.providers).to.deep.equal([])
    expect((await errorsOf({ oidc_config: { ...off, enabled: true } })).join('\n'))
      .to.contain('oidc_config.issuer')
      .and.to.contain('oidc_config.client_id')
  })

  it('have names that are theirs alone', async () => {
    const twice = [MINIMAL, { ...MINIMAL, client_id: 'other' }]
    expect((await errorsOf({ oidc_providers: twice }))[0]).to.match(/^oidc_providers\[1\]\.idp_id: /)
    const oidc_config = { ...MINIMAL, enabled: true }
    expect((await errorsOf({ oidc_config, oidc_providers: [MINIMAL] }))[0]).to.match(/^oidc_config: /)
    const { idp_id: _id, ...nameless } = MINIMAL
    expect((await errorsOf({ oidc_providers: [nameless] }))[0]).to.contain('oidc_providers[0].idp_id')
  })

  it('are refused where something is wrong', async () => {
    const wrong: [object, RegExp][] = [
      [{ issuer: 'club.test' }, /\.issuer: expected a URL/],
      [{ issuer: 'http://club.test' }, /\.issuer: .*skip_verification/],
      [{ token_endpoint: 'http://club.test/token' }, /\.token_endpoint: /],
      [{ client_id: '' }, /\.client_id: /],
      [{ idp_id: 'a b' }, /\.idp_id: /],
      [{ idp_icon: 'https://club.test/icon.png' }, /\.idp_icon: expected an mxc/],
      [{ idp_brand: 'Club' }, /\.idp_brand: /],
      [{ client_auth_method: 'private_key_jwt' }, /\.client_auth_method: expected one of/],
      [{ client_auth_method: 'client_secret_post' }, /\.client_auth_method: there is no client_secret/],
      [{ pkce_method: 'sometimes' }, /\.pkce_method: /],
      [{ id_token_signing_alg_values_supported: ['none'] }, /_supported\[0\]: expected one of RS256/],
      [{ id_token_signing_alg_values_supported: ['HS256'] }, /_supported\[0\]: /],
      [{ discover: false }, /\.authorization_endpoint: is missing/],
      [{ discover: false }, /\.jwks_uri: is missing/],
      [{ discover: false, scopes: ['user'] }, /\.userinfo_endpoint: is missing/],
      [{ additional_authorization_parameters: { state: 'x' } }, /_parameters\.state: /],
      [{ passthrough_authorization_parameters: ['redirect_uri'] }, /_parameters\[0\]: /],
      [{ passthrough_authorization_parameters: ['login_hint', 'request_uri'] }, /_parameters\[1\]: /],
      [{ user_mapping_provider: { module: 'my.Mapper' } }, /\.module: /],
      [{ user_mapping_provider: { config: { subject_claim: 'a.b' } } }, /\.subject_claim: /],
      [{ user_mapping_provider: { config: { localpart_template: '{{ user.sub' } } }, /template: .*expected/],
      [{ user_mapping_provider: { config: { subject_template: '{{ user.a | lowr }}' } } }, /no filter lowr/],
      [{ user_mapping_provider: { config: { extra_attributes: { a: '{% x %}' } } } }, /attributes\.a: /],
      [
        { user_mapping_provider: { config: { localpart_templat: 'x' } } },
        /did you mean localpart_template\?/,
      ],
      [{ attribute_requirements: [{ value: 'x' }] }, /requirements\[0\]\.attribute: /],
      [{ isuer: 'x' }, /isuer: unknown key; did you mean issuer\?/],
      [{ client_secret: 's', client_secret_path: '/x' }, /client_secret_path: client_secret is set too/],
      [{ client_secret_path: '/does/not/exist' }, /client_secret_path: .*no such file/],
      [{ client_secret_jwt_key: { jwt_header: { alg: 'none' }, key: 'x' } }, /jwt_header: /],
      [{ client_secret_jwt_key: { jwt_header: { alg: 'ES256' }, key: 'x' } }, /\.key: expected a private/],
      [{ client_secret_jwt_key: { jwt_header: { alg: 'ES256' } } }, /\.key: is missing/],
    ]
    for (const [provider, message] of wrong)
      expect(await errorOf(provider), JSON.stringify(provider)).to.match(message)
    expect(await load({ skip_verification: true, issuer: 'http://club.test' })).to.include({
      skipsVerification: true,
    })
  })

  it('keep secrets in files of their own', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const client_secret_path = scratch.write('secret', 'hidden\n')
    expect(await load({ client_secret_path })).to.include({ clientSecret: 'hidden' })
    const key_file = scratch.write('key', pem)
    const client_secret_jwt_key = { key_file, jwt_header: { alg: 'ES256', kid: 'K' } }
    const { clientSecretKey, clientAuthMethod } = await load({ client_secret_jwt_key })
    expect(clientSecretKey).to.deep.equal({
      key: pem.trim(),
      header: { alg: 'ES256', kid: 'K' },
      payload: {},
    })
    expect(clientAuthMethod).to.equal('client_secret_basic')
  })
})
