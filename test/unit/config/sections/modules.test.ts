import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadConfig } from '../../../../src/config/load.js'
import { errorsOf, loadKeys, warningsOf as allWarningsOf } from '../../../support/load-config.js'

const SHARED_SECRET = 'shared_secret_authenticator.SharedSecretAuthProvider'
const LDAP = 'ldap_auth_provider.LdapAuthProviderModule'
const REST = 'rest_auth_provider.RestAuthProvider'
const ACCEPTER = 'synapse_auto_accept_invite.InviteAutoAccepter'

const DIRECTORY = {
  uri: 'ldaps://ldap.example.org',
  base: 'ou=users,dc=example,dc=org',
  attributes: { uid: 'cn', mail: 'mail', name: 'givenName' },
}

const one = (module: string, config: object): object => ({ modules: [{ module, config }] })

/** But for that of having no listeners. */
async function warningsOf(keys: object): Promise<string[]> {
  return (await allWarningsOf(keys)).filter((warning) => !warning.startsWith('listeners'))
}

async function providersOf(keys: object): Promise<readonly object[]> {
  return (await loadKeys(keys)).config.modules.credentialProviders
}

describe('modules', () => {
  it('are silent where there are none', async () => {
    for (const keys of [{}, { modules: [] }, { modules: null }, { modules: [], password_providers: [] }]) {
      expect(await warningsOf(keys)).to.deep.equal([])
      expect(await providersOf(keys)).to.deep.equal([])
    }
    expect(await warningsOf({ ldap_config: { enabled: false, uri: 'x' } })).to.deep.equal([])
  })

  it('are named where this server has no equivalent, with what is lost', async () => {
    const entries = [{ module: 'my_module.Mine', config: { secret: 'abc' } }, { module: 'mjolnir.Module' }]
    const warnings = await warningsOf({
      modules: entries,
      password_providers: [{ module: 'other.Passwords' }],
    })
    expect(warnings).to.deep.equal([
      'modules[0].module: mxhs runs no modules written in Python, and has no equivalent of my_module.Mine: ' +
        'what it does is not done, and people who log in by it cannot',
      'modules[1].module: mxhs runs no modules written in Python, and has no equivalent of mjolnir.Module: ' +
        'use Draupnir or Meowlnir, and synapse_http_antispam.HTTPAntispam, which is served',
      'password_providers[0].module: mxhs runs no modules written in Python, and has no equivalent of ' +
        'other.Passwords: people who log in by it cannot',
    ])
  })

  it('say where they are wrong', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mxhs-modules-'))
    try {
      const file = join(directory, 'homeserver.yaml')
      const lines = [
        'server_name: example.org',
        'modules:',
        `  - module: ${SHARED_SECRET}`,
        '    config:',
        '      shared_secrets: abc',
        '  - module: ldap_auth_provider.LdapAuthProviderModule',
        '    config:',
        '      uri: http://ldap.example.org',
      ]
      writeFileSync(file, lines.join('\n'))
      let message = ''
      await loadConfig([file], { env: {} }).catch((error: unknown) => (message = (error as Error).message))
      expect(message).to.include(`${file}:5:`).and.to.include(`${file}:8:`)
      expect(message).to.include('did you mean shared_secret?')
      expect(message).not.to.include('abc')
    } finally {
      rmSync(directory, { recursive: true })
    }
    expect(await errorsOf({ modules: { module: SHARED_SECRET } })).to.have.length(1)
    expect(await errorsOf({ modules: [{ config: {} }] })).to.have.length(1)
    expect(await errorsOf({ modules: [{ module: SHARED_SECRET, confg: {} }] })).to.satisfy((all: string[]) =>
      all.some((line) => line.includes('did you mean config?')),
    )
    expect(await errorsOf(one(SHARED_SECRET, []))).to.have.length(1)
  })

  it('cannot let people in beside an authentication service', async () => {
    const delegated = {
      matrix_authentication_service: {
        enabled: true,
        endpoint: 'http://localhost:8080',
        secret: 'a-secret-of-two-servers',
      },
    }
    const secret = { shared_secret: 'a secret that is long enough' }
    const [error] = await errorsOf({ ...delegated, ...one(SHARED_SECRET, secret) })
    expect(error).to.include('modules: a provider of passwords cannot be together')
    await loadKeys({ ...delegated, ...one(ACCEPTER, {}) })
  })

  it('accept invitations as the server itself does', async () => {
    const config = { accept_invites_only_for_direct_messages: true, worker_to_run_on: 'a' }
    const { modules } = (await loadKeys(one(ACCEPTER, config))).config
    expect(modules.acceptedInvitations).to.include({ onlyDirect: true, onlyFromOurs: false })
    expect((await loadKeys({})).config.modules.acceptedInvitations).to.equal(undefined)
  })
})

describe('a module for a shared secret', () => {
  it('takes one type of login at least, and warns of what is easily guessed', async () => {
    const secret = { shared_secret: 'a secret that is long enough' }
    const [provider] = await providersOf(one(SHARED_SECRET, secret))
    expect(provider).to.include({ takesPasswords: false, takesTokens: true })
    const none = { ...secret, com_devture_shared_secret_auth_support_enabled: false }
    expect(await errorsOf(one(SHARED_SECRET, none))).to.have.length(1)
    expect(await errorsOf(one(SHARED_SECRET, { shared_secret: '' }))).to.have.length(1)
    expect(await warningsOf(one(SHARED_SECRET, { shared_secret: 'short' }))).to.have.length(1)
  })
})

describe('a module for a directory', () => {
  it('makes DNs of names, or searches', async () => {
    const [simple] = await providersOf(one(LDAP, DIRECTORY))
    expect(simple).to.deep.include({ kind: 'ldap', urls: ['ldaps://ldap.example.org'], startTls: false })
    expect(simple).to.deep.include({ search: undefined, activeDirectory: undefined })
    expect(simple).to.have.nested.property('tls.verifies', true)
    const search = { account: undefined, filter: '(objectClass=person)(!(locked=1))' }
    const searching = { ...DIRECTORY, mode: 'search', filter: search.filter }
    expect((await providersOf(one(LDAP, searching)))[0]).to.deep.include({ search })
    const bound = { ...DIRECTORY, mode: 'simple', bind_dn: 'cn=mxhs', bind_password: 'secret' }
    const account = { dn: 'cn=mxhs', password: 'secret' }
    expect((await providersOf(one(LDAP, bound)))[0]).to.deep.include({
      search: { account, filter: undefined },
    })
    const domains = { ...DIRECTORY, active_directory: true, default_domain: 'Main.Example.Org' }
    expect((await providersOf(one(LDAP, domains)))[0]).to.deep.include({
      activeDirectory: { defaultDomain: 'main.example.org' },
    })
  })

  it('may be written by the older keys, which come last', async () => {
    const secret = { shared_secret: 'a secret that is long enough' }
    const keys = {
      ldap_config: { enabled: true, ...DIRECTORY, base: 'dc=a' },
      password_providers: [
        { module: 'ldap_auth_provider.LdapAuthProvider', config: { ...DIRECTORY, base: 'dc=b' } },
        { module: REST, config: { endpoint: 'http://localhost:8090/' } },
      ],
      ...one(SHARED_SECRET, secret),
    }
    const providers = await providersOf(keys)
    expect(
      providers.map((each) => ('base' in each ? each.base : 'endpoint' in each && each.endpoint)),
    ).to.deep.equal([false, 'dc=a', 'dc=b', 'http://localhost:8090'])
    expect(await errorsOf({ ldap_config: { enabled: true, ...DIRECTORY, ury: 'x' } })).to.deep.equal([
      'ldap_config.ury: unknown key; did you mean uri?',
    ])
  })

  it('refuses what says nothing, or too much', async () => {
    const wrong: object[] = [
      { uri: [] },
      { uri: 'ldap://user:password@ldap.example.org' },
      { uri: 'ldap://ldap.example.org/dc=example' },
      { base: '' },
      { attributes: { uid: 'cn', mail: 'mail' } },
      { attributes: { uid: 'cn)(uid=*', mail: 'mail', name: 'name' } },
      { attributes: { ...DIRECTORY.attributes, nam: 'x' } },
      { bind_dn: 'cn=mxhs' },
      { bind_dn: 'cn=mxhs', bind_password: '' },
      { filter: 'objectClass=person' },
      { filter: '(a=b))(c=d' },
      { mode: 'other' },
      { validate_cert: true, tls_options: { validate: true } },
      { tls_options: { validate: 'maybe' } },
      { tls_options: { local_certificate_file: '/cert.pem' } },
      { tls_options: { valdate: true } },
    ]
    for (const keys of wrong) {
      expect(await errorsOf(one(LDAP, { ...DIRECTORY, ...keys })), JSON.stringify(keys)).to.have.length(1)
    }
  })

  it('warns of passwords that others could read, and of what is switched off', async () => {
    const warnings = (keys: object) => warningsOf(one(LDAP, { ...DIRECTORY, ...keys }))
    expect(await warnings({})).to.deep.equal([])
    expect(await warnings({ uri: 'ldap://ldap.example.org', start_tls: true })).to.deep.equal([])
    const plain = await warnings({ uri: ['ldaps://a.example.org', 'ldap://b.example.org'] })
    expect(plain).to.deep.equal([
      'modules[0].config.uri: passwords go to the directory unencrypted: use ldaps:// or start_tls',
    ])
    for (const keys of [{ validate_cert: false }, { tls_options: { validate: 0 } }]) {
      expect((await warnings(keys))[0]).to.include('certificates are not checked')
    }
    expect((await warnings({ tls_options: { ciphers: 'ALL' } }))[0]).to.include('tls_options.ciphers')
    expect((await warnings({ enabled: false }))[0]).to.include('the directory is not asked')
    expect(await providersOf(one(LDAP, { ...DIRECTORY, enabled: false }))).to.deep.equal([])
    expect(await warnings({ enabled: true })).to.deep.equal([])
  })

  it('reads the password of the account that searches from a file', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mxhs-modules-'))
    try {
      const file = join(directory, 'password')
      writeFileSync(file, ' with blanks \n\n')
      const bound = { ...DIRECTORY, bind_dn: 'cn=mxhs', bind_password_file: file }
      for (const keys of [one(LDAP, bound), { ldap_config: { enabled: true, ...bound } }]) {
        const [provider] = await providersOf(keys)
        expect(provider).to.have.nested.property('search.account.password', ' with blanks ')
      }
      const missing = { ...bound, bind_password_file: join(directory, 'none') }
      expect((await errorsOf(one(LDAP, missing))).join('\n')).to.include('bind_password_file')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})

describe('a module that asks what is spam', () => {
  const ANTISPAM = 'synapse_http_antispam.HTTPAntispam'
  const url = { base_url: 'http://localhost:8080/api/1/spam_check/' }

  it('asks everything unless it is said what', async () => {
    const [all] = (await loadKeys(one(ANTISPAM, url))).config.modules.antispam
    expect(all).to.include({
      baseUrl: 'http://localhost:8080/api/1/spam_check',
      token: undefined,
      pings: false,
    })
    expect(all?.callbacks.map(({ name }) => name)).to.include.members([
      'user_may_invite',
      'check_event_for_spam',
    ])
    expect(all?.callbacks.filter(({ failsOpen }) => failsOpen).map(({ name }) => name)).to.deep.equal([
      'check_event_for_spam',
    ])
    const some = {
      ...url,
      authorization: 'a token',
      do_ping: true,
      enabled_callbacks: ['user_may_invite', 'check_event_for_spam'],
      fail_open: { user_may_invite: true, check_event_for_spam: false },
      async: { user_may_invite: true },
    }
    const [settings] = (await loadKeys(one(ANTISPAM, some))).config.modules.antispam
    expect(settings).to.deep.include({
      token: 'a token',
      pings: true,
      callbacks: [
        { name: 'user_may_invite', failsOpen: true, isOnlyTold: true },
        { name: 'check_event_for_spam', failsOpen: false, isOnlyTold: false },
      ],
    })
  })

  it('refuses what it cannot ask, and reads its token from a file', async () => {
    for (const keys of [
      { enabled_callbacks: ['user_may_invit'] },
      { fail_open: { check_media_file_for_spam: true } },
      { async: { user_may_invite: 1 } },
      { base_url: 'localhost' },
      { authorisation: 'a token' },
    ]) {
      expect(await errorsOf(one(ANTISPAM, { ...url, ...keys })), JSON.stringify(keys)).to.have.length(1)
    }
    const directory = mkdtempSync(join(tmpdir(), 'mxhs-modules-'))
    try {
      const file = join(directory, 'token')
      writeFileSync(file, 'a token\n')
      const [settings] = (await loadKeys(one(ANTISPAM, { ...url, authorization_path: file }))).config.modules
        .antispam
      expect(settings?.token).to.equal('a token')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})

describe('a module for passwords by HTTP', () => {
  it('has defaults for what becomes of profiles', async () => {
    const [provider] = await providersOf(one(REST, { endpoint: 'http://localhost:8090' }))
    expect(provider).to.deep.equal({
      kind: 'rest',
      endpoint: 'http://localhost:8090',
      namesNewcomers: true,
      namesAlways: false,
      addsAddresses: true,
      removesAddresses: false,
    })
    const policy = {
      registration: { username: { enforceLowercase: false }, profile: { name: false } },
      login: { profile: { name: true } },
      all: { threepid: { update: true, replace: true } },
    }
    const [other] = await providersOf(one(REST, { endpoint: 'https://a.example.org/x', policy }))
    expect(other).to.include({ namesNewcomers: false, namesAlways: true, removesAddresses: true })
    const wrong = { endpoint: 'localhost', policy: { all: { threepids: {} } } }
    expect(await errorsOf(one(REST, wrong))).to.have.length(2)
  })
})
