import { expect } from 'chai'
import { checkAuthenticationService } from '../../../../src/cli/doctor/check-authentication-service.js'
import { doctorContext, findings, type FakeAnswers } from '../../../support/doctor-context.js'

const MAS = 'http://mas.test:8080'
const KEYS = {
  public_baseurl: 'https://matrix.test/',
  matrix_authentication_service: { enabled: true, endpoint: `${MAS}/`, secret: 'hush' },
}
const METADATA = { issuer: 'https://auth.test/', account_management_uri: 'https://auth.test/account/' }
const FLOWS = { flows: [{ type: 'm.login.sso', oauth_aware_preferred: true }, { type: 'm.login.token' }] }

/** What a service answers whose deployment is right, but for what is given. */
async function look(other: Readonly<Record<string, ReturnType<FakeAnswers>>> = {}): Promise<string[]> {
  const good: typeof other = {
    [`${MAS}/.well-known/openid-configuration`]: { body: JSON.stringify(METADATA) },
    [`${MAS}/oauth2/introspect`]: { body: '{"active":false}' },
    'https://matrix.test/_matrix/client/v3/login': { body: JSON.stringify(FLOWS) },
  }
  const answers: FakeAnswers = (url) => ({ ...good, ...other })[url]
  return findings(checkAuthenticationService, await doctorContext(KEYS, { answers }))
}

describe('checkAuthenticationService', () => {
  it('has nothing to look at where there is none', async () => {
    expect(await findings(checkAuthenticationService, await doctorContext({}))).to.deep.equal([
      'info: the accounts are in the hands of this server',
    ])
  })

  it('finds a service that answers, takes the secret and has the logins', async () => {
    expect(await look()).to.deep.equal([
      `ok: ${MAS} answers as https://auth.test/`,
      `ok: ${MAS} takes the secret`,
      'ok: /_matrix/client/v3/login is answered by the service',
    ])
  })

  it('says what is wrong on either side', async () => {
    const [metadata, token] = await look({
      [`${MAS}/.well-known/openid-configuration`]: undefined,
      [`${MAS}/oauth2/introspect`]: { status: 401, body: '{"error":"access_denied"}' },
    })
    expect(metadata).to.equal(`error: ${MAS}: connection refused`)
    expect(token).to.equal(`error: ${MAS} does not say whose tokens are: it answers with status 401`)
    const anything = await look({ [`${MAS}/oauth2/introspect`]: { body: '{"active":true}' } })
    expect(anything[1]).to.equal(`error: ${MAS} takes any token for a good one`)
    expect((await look({ [`${MAS}/.well-known/openid-configuration`]: { body: '{}' } }))[0]).to.match(
      /^error: /,
    )
  })

  it('says where the reverse proxy leads logins elsewhere', async () => {
    const url = 'https://matrix.test/_matrix/client/v3/login'
    const unrecognized = { status: 404, body: '{"errcode":"M_UNRECOGNIZED"}' }
    const own = { body: '{"flows":[{"type":"m.login.password"}]}' }
    expect((await look({ [url]: unrecognized }))[2]).to.match(
      /^warning: .* is not answered by the service \(status 404\)/,
    )
    expect((await look({ [url]: own }))[2]).to.match(/^warning: .*\(status 200\)/)
    expect((await look({ [url]: { body: '[]' } }))[2]).to.match(/^warning: /)
    expect((await look({ [url]: undefined }))[2]).to.match(/^warning: .*connection refused/)
  })
})
