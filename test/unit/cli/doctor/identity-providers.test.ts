import { expect } from 'chai'
import { checkIdentityProviders } from '../../../../src/cli/doctor/check-identity-providers.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { casAnswer } from '../../../support/fake-cas-server.js'
import { doctorContext, findings } from '../../../support/doctor-context.js'

const ISSUER = 'https://club.test'
const DOCUMENT = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  jwks_uri: `${ISSUER}/keys`,
}

async function look(document: JsonObject | undefined, keys: JsonObject | undefined): Promise<string[]> {
  const oidc_providers = [{ idp_id: 'club', idp_name: 'The Club', issuer: ISSUER, client_id: 'mxhs' }]
  const pages: Record<string, JsonObject | undefined> = {
    [`${ISSUER}/.well-known/openid-configuration`]: document,
    [`${ISSUER}/keys`]: keys,
  }
  const answers = (url: string) => {
    const page = pages[url]
    return page && { body: JSON.stringify(page) }
  }
  return findings(checkIdentityProviders, await doctorContext({ oidc_providers }, { answers }))
}

describe('checkIdentityProviders', () => {
  it('has nothing to look at where there are none', async () => {
    expect(await findings(checkIdentityProviders, await doctorContext({}))).to.deep.equal([
      'info: there are no oidc_providers and no cas_config',
    ])
  })

  it('asks a CAS server about a ticket that nobody has', async () => {
    const lookAt = async (content: string | undefined): Promise<string> => {
      const cas_config = { server_url: 'https://cas.test', idp_name: 'Campus' }
      const answers = () => (content === undefined ? undefined : { body: casAnswer(content) })
      const [finding = ''] = await findings(
        checkIdentityProviders,
        await doctorContext({ cas_config }, { answers }),
      )
      return finding
    }
    const refused = (code: string): string => `<cas:authenticationFailure code="${code}"/>`
    const taken = '<cas:authenticationSuccess><cas:user>a</cas:user></cas:authenticationSuccess>'
    expect(await lookAt(refused('INVALID_TICKET'))).to.equal('ok: Campus (https://cas.test) can be used')
    expect(await lookAt(refused('INVALID_SERVICE'))).to.contain('does not know the service URL')
    expect(await lookAt(taken)).to.contain('it takes tickets that nobody has')
    expect(await lookAt('')).to.contain('no answer of its protocol')
    expect(await lookAt(undefined)).to.contain('cannot be asked')
  })

  it('finds providers that can be used, and says what is wrong with the others', async () => {
    const about = 'The Club (https://club.test)'
    expect(await look(DOCUMENT, { keys: [] })).to.deep.equal([`ok: ${about} can be used`])
    expect((await look(undefined, { keys: [] }))[0]).to.match(
      /^error: The Club \(https:\/\/club\.test\): .*openid-configuration cannot be read: connection refused/,
    )
    expect((await look({ ...DOCUMENT, issuer: 'https://other.test' }, { keys: [] }))[0]).to.contain(
      'the provider calls itself https://other.test, not https://club.test',
    )
    for (const keys of [undefined, {}])
      expect((await look(DOCUMENT, keys))[0]).to.contain('https://club.test/keys cannot be read')
  })
})
