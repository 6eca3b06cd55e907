import { existsSync, statSync } from 'node:fs'
import { expect } from 'chai'
import { ConfigError, formatNotice } from '../../../src/config/config-error.js'
import type { HomeserverConfig } from '../../../src/config/homeserver-config.js'
import { loadConfig } from '../../../src/config/load.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'

const LISTENERS = `
listeners:
  - port: 8008
    resources: [{names: [client]}]
`

describe('loadConfig', () => {
  const scratch = useScratch()

  async function load(text: string): Promise<HomeserverConfig> {
    const path = scratch.write('homeserver.yaml', text)
    return (await loadConfig([path], { env: {} })).config
  }

  async function errors(text: string): Promise<string[]> {
    const path = scratch.write('homeserver.yaml', text)
    const error = (await rejection(loadConfig([path], { env: {} }))) as Error
    expect(error).to.be.instanceOf(ConfigError)
    return error.message.replaceAll(`${scratch.directory}/`, '').split('\n')
  }

  async function warnings(text: string): Promise<string[]> {
    const path = scratch.write('homeserver.yaml', text)
    const loaded = await loadConfig([path], { env: {} })
    return loaded.warnings.map((notice) => formatNotice(notice).replaceAll(`${scratch.directory}/`, ''))
  }

  it('fills in what is left out', async () => {
    const config = await load('server_name: example.org\nreport_stats: no\n')
    expect(config.server.publicBaseUrl).to.equal('https://example.org/')
    expect(config.server.servesClientWellKnown).to.equal(false)
    expect(config.server.defaultRoomVersion).to.equal('12')
    expect(config.database).to.deep.equal({ name: 'sqlite', path: 'homeserver.db', synchronous: 'normal' })
    expect(config.rateLimits.message).to.deep.equal({ perSecond: 0.2, burstCount: 10 })
    expect(config.media.maxUploadSize).to.equal(50 * 1024 * 1024)
    expect(config.signingKeys.path).to.equal(scratch.path('example.org.signing.key'))
  })

  it('is frozen, all the way down', async () => {
    const config = await load(`server_name: example.org${LISTENERS}`)
    expect(config).to.be.frozen
    expect(config.rateLimits.message).to.be.frozen
    expect(config.listeners.list).to.be.frozen
    expect(config.listeners.list[0]).to.be.frozen
  })

  it('says file, line, column, key, expectation and value of all that is wrong', async () => {
    const text = `server_name: example.org
rc_message: {per_second: fast}
listeners:
  - port: 80080
enable_registraton: true
session_lifetime: 1.5h
`
    expect(await errors(text)).to.deep.equal([
      'homeserver.yaml:2:26: rc_message.per_second: expected a number that is not negative, got "fast"',
      'homeserver.yaml:4:11: listeners[0].port: expected a whole number from 0 to 65535, got 80080',
      'homeserver.yaml:5:1: enable_registraton: unknown key; did you mean enable_registration?',
      'homeserver.yaml:6:19: session_lifetime: expected a duration: a whole number of milliseconds, or one with a ' +
        'unit of s, m, h, d, w or y, such as 30s or 7d, got "1.5h"',
    ])
  })

  it('needs a server name', async () => {
    expect(await errors('report_stats: false\n')).to.deep.equal([
      'server_name: is missing: expected a server name, such as example.org or chat.example.org:8448',
    ])
    expect((await errors('server_name: "https://example.org"\n'))[0]).to.match(
      /^homeserver\.yaml:1:14: server_name: expected a server name, .*got "https:\/\/example\.org"$/,
    )
  })

  it('does not show secrets', async () => {
    const messages = await errors(
      'server_name: a.org\nregistration_shared_secret: 12345\npassword_config: {pepper: [9]}\n',
    )
    expect(messages).to.have.length(2)
    expect(messages.join()).to.contain('not shown').and.not.contain('12345')
  })

  it('takes nothing for absence', async () => {
    const config = await load('server_name: a.org\npublic_baseurl:\npush:\npresence:\n  idle_timeout:\n')
    expect(config.server.servesClientWellKnown).to.equal(false)
    expect(config.push.enabled).to.equal(true)
    expect(config.presence.idleTimeoutMs).to.equal(300_000)
  })

  it('tells nothing from absence where it means for ever', async () => {
    expect((await load('server_name: a.org\n')).retention.userIpsMs).to.equal(28 * 86_400_000)
    expect((await load('server_name: a.org\nuser_ips_max_age: null\n')).retention.userIpsMs).to.equal(
      undefined,
    )
  })

  it('warns of what is not served, in the order of the file', async () => {
    const messages = await warnings(`server_name: a.org
key_server_signing_keys_path: key.pem
daemonize: true
report_stats: true${LISTENERS}`)
    expect(messages).to.have.length(3)
    expect(messages[0]).to.equal(
      'homeserver.yaml:2:1: key_server_signing_keys_path: mxhs does not serve this key yet',
    )
    expect(messages[1]).to.match(/^homeserver\.yaml:3:1: daemonize: has no effect/)
    expect(messages[2]).to.match(/^homeserver\.yaml:4:1: report_stats: /)
  })

  it('warns when nobody can reach the server', async () => {
    expect((await warnings('server_name: a.org\n'))[0]).to.contain('no listener')
  })

  it('reads secrets from files', async () => {
    const secret = scratch.write('secret', 'from a file\n')
    const config = await load(`server_name: a.org\nregistration_shared_secret_path: ${secret}\n`)
    expect(config.registration.sharedSecret).to.equal('from a file')
  })

  it('makes the shared secret for a server that starts, and only then', async () => {
    const secret = scratch.path('secret')
    const path = scratch.write(
      'homeserver.yaml',
      `server_name: a.org\nregistration_shared_secret_path: ${secret}\n`,
    )
    const looked = await loadConfig([path], { env: {} })
    expect(looked.config.registration.sharedSecret).to.equal(undefined)
    expect(looked.warnings.map(({ message }) => message)).to.include(
      'the file is made when the server starts',
    )
    expect(existsSync(secret)).to.equal(false)
    const started = await loadConfig([path], { env: {}, makeSecrets: true })
    expect(started.config.registration.sharedSecret).to.match(/^[A-Za-z]{50}$/)
    expect(statSync(secret).mode & 0o777).to.equal(0o600)
    const again = await loadConfig([path], { env: {}, makeSecrets: true })
    expect(again.config.registration.sharedSecret).to.equal(started.config.registration.sharedSecret)
  })

  it('refuses a secret that is given twice, and a file that is not there', async () => {
    const secret = scratch.write('secret', 'x')
    const twice = await errors(`server_name: a.org\nform_secret: y\nform_secret_path: ${secret}\n`)
    expect(twice[0]).to.match(/^homeserver\.yaml:3:1: form_secret_path: form_secret is set too/)
    const missing = await errors('server_name: a.org\nmacaroon_secret_key_path: /nowhere/secret\n')
    expect(missing[0]).to.match(/^homeserver\.yaml:2:27: macaroon_secret_key_path: ENOENT/)
  })

  it('reads secrets of nested keys from files, too', async () => {
    const [pepper, smtp, database] = ['pepper', 'smtp', 'database'].map((name) =>
      scratch.write(name, `${name}\n`),
    )
    const config = await load(
      [
        'server_name: a.org',
        `password_config: {pepper_path: ${pepper}}`,
        `email: {smtp_pass_path: ${smtp}}`,
        `database: {name: psycopg2, args: {host: h, password_path: ${database}}}`,
      ].join('\n'),
    )
    expect(config.sessions.passwords.pepper).to.equal('pepper')
    expect(config.email.mail?.smtp.password).to.equal('smtp')
    expect(config.database).to.have.nested.property('connection.password', 'database')
    const twice = await errors(`server_name: a.org\nemail: {smtp_pass: x, smtp_pass_path: ${smtp}}\n`)
    expect(twice[0]).to.contain('email.smtp_pass_path: email.smtp_pass is set too')
  })

  it("takes secrets from systemd's credentials", async () => {
    for (const name of ['form_secret', 'email.smtp_pass', 'signing_key']) scratch.write(name, `of ${name}\n`)
    const env = { CREDENTIALS_DIRECTORY: scratch.directory }
    const path = scratch.write('homeserver.yaml', 'server_name: a.org\nemail: {smtp_host: h}\n')
    const { config } = await loadConfig([path], { env })
    expect(config.sessions.formSecret).to.equal('of form_secret')
    expect(config.email.mail?.smtp).to.include({ host: 'h', password: 'of email.smtp_pass' })
    expect(config.signingKeys.inline).to.equal('of signing_key')
    const both = scratch.write('both.yaml', 'server_name: a.org\nform_secret: x\n')
    const error = (await rejection(loadConfig([both], { env }))) as Error
    expect(error.message).to.match(/both\.yaml:2:1: form_secret: there is a credential form_secret too/)
  })

  it('puts variables of the environment in the place of their names', async () => {
    const path = scratch.write(
      'homeserver.yaml',
      'server_name: "${NAME}.org"\nform_secret: ${DIGITS}\nmax_upload_size: ${DIGITS}\n',
    )
    const { config } = await loadConfig([path], { env: { NAME: 'a', DIGITS: '0123456' } })
    expect(config.server.serverName).to.equal('a.org')
    expect(config.sessions.formSecret).to.equal('0123456')
    expect(config.media.maxUploadSize).to.equal(0o123456)
    const error = (await rejection(loadConfig([path], { env: { NAME: 'a' } }))) as Error
    expect(error.message).to.match(/homeserver\.yaml:2:14: the environment variable DIGITS is not set/)
  })

  it('takes the factors of caches from the environment', async () => {
    const path = scratch.write(
      'homeserver.yaml',
      'server_name: a.org\ncaches: {per_cache_factors: {rooms: 3}}\n',
    )
    const env = { SYNAPSE_CACHE_FACTOR: '2', SYNAPSE_CACHE_FACTOR_GET_USERS: '0.1' }
    const { config } = await loadConfig([path], { env })
    expect(config.caches.globalFactor).to.equal(2)
    expect(config.caches.perCacheFactors).to.deep.equal({ rooms: 3, get_users: 0.1 })
    const error = (await rejection(loadConfig([path], { env: { SYNAPSE_CACHE_FACTOR: 'much' } }))) as Error
    expect(error.message).to.contain('SYNAPSE_CACHE_FACTOR').and.contain('"much"')
  })

  it('looks for the signing key beside the first file', async () => {
    const other = scratch.write('other.yaml', 'pid_file: x\n')
    const path = scratch.write('homeserver.yaml', 'server_name: a.org\n')
    const { config } = await loadConfig([path, other], { env: {} })
    expect(config.signingKeys.path).to.equal(scratch.path('a.org.signing.key'))
  })
})
