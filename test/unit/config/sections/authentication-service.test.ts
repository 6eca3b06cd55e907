import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { errorsOf, loadKeys, warningsOf } from '../../../support/load-config.js'

const ON = { enabled: true, endpoint: 'http://mas.test:8080/', secret: 'a-shared-secret' }

async function serviceOf(section: object | null | undefined): Promise<unknown> {
  const { config } = await loadKeys({ matrix_authentication_service: section })
  return config.authenticationService.service
}

describe('an authentication service', () => {
  it('has nothing to do with a server that does not name one', async () => {
    for (const section of [undefined, null, {}, { ...ON, enabled: false }]) {
      expect(await serviceOf(section)).to.equal(undefined)
    }
  })

  it('is found at its endpoint, with or without a slash at the end', async () => {
    expect(await serviceOf(ON)).to.deep.equal({
      endpoint: 'http://mas.test:8080',
      secret: 'a-shared-secret',
    })
    expect(await serviceOf({ ...ON, endpoint: 'https://mas.test/auth//' })).to.include({
      endpoint: 'https://mas.test/auth',
    })
    expect(await serviceOf({ enabled: true, secret: 's' })).to.include({ endpoint: 'http://localhost:8080' })
  })

  it('needs one secret, from the file or from another', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mxhs-secret-'))
    try {
      const secret_path = join(directory, 'secret')
      writeFileSync(secret_path, 'from-a-file\n')
      expect(await serviceOf({ enabled: true, secret_path })).to.include({ secret: 'from-a-file' })
      expect(await errorsOf({ matrix_authentication_service: { ...ON, secret_path } })).to.deep.equal([
        'matrix_authentication_service.secret_path: matrix_authentication_service.secret is set too: only one of them can be',
      ])
      const missing = { enabled: true, secret_path: join(directory, 'nothing') }
      expect((await errorsOf({ matrix_authentication_service: missing })).join()).to.include('no such file')
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
    for (const secret of [undefined, null, '']) {
      expect(await errorsOf({ matrix_authentication_service: { ...ON, secret } })).to.deep.equal([
        'matrix_authentication_service.secret: is missing: set it, or secret_path, to what the service calls matrix.secret',
      ])
    }
    for (const secret of ['two words', 'a\nb', 'schön']) {
      const errors = await errorsOf({ matrix_authentication_service: { ...ON, secret } })
      expect(errors).to.deep.equal([
        'matrix_authentication_service.secret: expected ASCII characters without spaces',
      ])
    }
  })

  it('is refused where it is described wrongly', async () => {
    for (const [key, value] of [
      ['enabled', 'maybe'],
      ['endpoint', 'mas.test:8080'],
      ['endpoint', 'ftp://mas.test'],
      ['force_http2', 1],
      ['secret', 5],
    ] as const) {
      const errors = await errorsOf({ matrix_authentication_service: { ...ON, [key]: value } })
      expect(errors, key).to.have.length(1)
      expect(errors[0]).to.match(new RegExp(`^matrix_authentication_service\\.${key}: expected `))
    }
    expect(await errorsOf({ matrix_authentication_service: { ...ON, issuer: 'x' } })).to.have.length(1)
  })

  it('is asked by HTTP/1.1, whatever is wanted', async () => {
    const listeners = [{ port: 8008 }]
    expect(await warningsOf({ listeners, matrix_authentication_service: ON })).to.deep.equal([])
    expect(
      await warningsOf({ listeners, matrix_authentication_service: { ...ON, force_http2: true } }),
    ).to.deep.equal([
      'matrix_authentication_service.force_http2: has no effect: the service is asked by HTTP/1.1',
    ])
  })

  it('leaves no passwords and no changes of addresses here', async () => {
    const { config } = await loadKeys({ matrix_authentication_service: ON, password_config: null })
    expect(config.sessions.passwords).to.include({ mayLogIn: false, mayReauthenticate: false })
    expect(config.registration.mayChangeThreepids).to.equal(false)
    const own = (await loadKeys({})).config
    expect(own.sessions.passwords.mayLogIn).to.equal(true)
    expect(own.registration.mayChangeThreepids).to.equal(true)
  })

  const conflicts: readonly [string, object][] = [
    ['password_config.enabled', { password_config: { enabled: true } }],
    ['password_config.enabled', { password_config: { enabled: 'only_for_reauth' } }],
    ['enable_registration', { enable_registration: true, registration_requires_token: true }],
    ['user_consent.version', { user_consent: { version: '1.0', template_dir: '/templates' } }],
    ['oidc_providers', { oidc_providers: [{ idp_id: 'x' }] }],
    ['cas_config.enabled', { cas_config: { enabled: true } }],
    ['saml2_config', { saml2_config: { sp_config: { metadata: {} } } }],
    ['jwt_config.enabled', { jwt_config: { enabled: true, secret: 's', algorithm: 'HS256' } }],
    ['password_providers', { password_providers: [{ module: 'x' }] }],
    ['login_via_existing_session.enabled', { login_via_existing_session: { enabled: true } }],
    ['session_lifetime', { session_lifetime: '1d' }],
    ['refresh_token_lifetime', { refresh_token_lifetime: '1d' }],
    ['nonrefreshable_access_token_lifetime', { nonrefreshable_access_token_lifetime: '1d' }],
    ['enable_3pid_changes', { enable_3pid_changes: true }],
  ]
  for (const [path, keys] of conflicts) {
    it(`leaves no room for ${path} (${JSON.stringify(keys)})`, async () => {
      const errors = await errorsOf({ matrix_authentication_service: ON, ...keys })
      const ours = errors.filter((error) => error.includes('matrix_authentication_service'))
      expect(ours).to.have.length(1)
      expect(ours[0]!.startsWith(`${path}: `), ours[0]).to.equal(true)
    })
  }

  it('does not mind what is switched off', async () => {
    await loadKeys({
      matrix_authentication_service: ON,
      password_config: { enabled: false },
      enable_registration: false,
      enable_3pid_changes: false,
      oidc_providers: [],
      cas_config: { enabled: false },
      saml2_config: { enabled: false },
      jwt_config: { enabled: false },
      login_via_existing_session: { enabled: false },
    })
  })

  it('says what to write where the section of before is still there', async () => {
    const msc3861 = { enabled: true, issuer: 'https://auth.test/', admin_token: 'hidden' }
    const [error, ...others] = await errorsOf({ experimental_features: { msc3861 } })
    expect(others).to.deep.equal([])
    expect(error).to.match(/^experimental_features\.msc3861: .*write matrix_authentication_service instead/)
    expect(error).to.include('admin_token').and.not.to.include('hidden')
    await loadKeys({ experimental_features: { msc3861: { enabled: false } } })
    await loadKeys({ experimental_features: { msc3861: {} } })
  })
})
