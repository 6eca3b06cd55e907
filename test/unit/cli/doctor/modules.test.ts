import { expect } from 'chai'
import { checkModules } from '../../../../src/cli/doctor/check-modules.js'
import { doctorContext, fakeDns, findings, type FakeAnswers } from '../../../support/doctor-context.js'
import { FakeDirectory } from '../../../support/fake-directory.js'

const SERVICE = { dn: 'cn=mxhs,dc=test', password: 'of the service', attributes: {} }

async function look(module: string, config: object, answers: FakeAnswers = () => undefined): Promise<string> {
  const context = await doctorContext({ modules: [{ module, config }] }, { answers, dns: fakeDns({}) })
  const [finding = ''] = await findings(checkModules, context)
  return finding
}

describe('checkModules', () => {
  it('has nothing to look at where there are none', async () => {
    expect(await findings(checkModules, await doctorContext({}))).to.deep.equal([
      'info: no module names a directory or a service',
    ])
    const secret = { shared_secret: 'a secret that is long enough' }
    expect(await look('shared_secret_authenticator.SharedSecretAuthProvider', secret)).to.match(/^info/)
  })

  it('looks for somebody in a directory', async () => {
    await using directory = await FakeDirectory.start({ entries: [SERVICE], readers: [SERVICE.dn] })
    const lookAt = (config: object): Promise<string> =>
      look('ldap_auth_provider.LdapAuthProviderModule', {
        uri: directory.url,
        base: 'dc=test',
        attributes: { uid: 'uid', name: 'cn', mail: 'mail' },
        bind_dn: SERVICE.dn,
        bind_password: SERVICE.password,
        ...config,
      })
    expect(await lookAt({})).to.equal(`ok: the directory (${directory.url}) answers`)
    expect(await lookAt({ bind_password: 'wrong' })).to.contain('does not take bind_dn and bind_password')
    expect(await lookAt({ filter: '(=)' })).to.match(/^error/)
    expect(await lookAt({ uri: 'ldap://nowhere.test' })).to.match(/^error: the directory .*nowhere\.test/)
    expect(await lookAt({ start_tls: true })).to.contain('it refuses StartTLS')
  })

  it('asks services what they have to refuse', async () => {
    const rest = (body: string): Promise<string> =>
      look('rest_auth_provider.RestAuthProvider', { endpoint: 'http://rest.test' }, () => ({ body }))
    expect(await rest('{"auth":{"success":false}}')).to.match(/^ok/)
    expect(await rest('{"auth":{"success":true}}')).to.contain('it takes a password that nobody has')
    expect(await rest('{}')).to.match(/^error/)
    const spam = await look('synapse_http_antispam.HTTPAntispam', { base_url: 'http://spam.test' }, () => ({
      body: '{"id":"other","status":"ok"}',
    }))
    expect(spam).to.match(
      /^error: the service that says what is spam .*the ping comes back as something else/,
    )
  })
})
