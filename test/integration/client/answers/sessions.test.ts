import { expect } from 'chai'
import type { JsonObject } from '../../../../src/util/json.js'
import { PASSWORD, startHomeserver, type TestHomeserver } from '../../../support/homeserver.js'
import { expectAnswer, expectAnswers, textIn } from '../../../support/expected-answers.js'
import { path, type MatrixClient } from '../../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'

describe('answers about sessions', () => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    hs = await startHomeserver({
      config: { login_via_existing_session: { enabled: true, require_ui_auth: true } },
    })
    alice = await hs.register('alice')
    bob = await hs.register('bob')
  })
  after(() => hs[Symbol.asyncDispose]())

  const proof = (client: MatrixClient): JsonObject => ({
    auth: {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: client.userId },
      password: PASSWORD,
    },
  })

  it('about devices come to their owner alone', async () => {
    const second = await hs.login(alice.userId)
    const device = path`/_matrix/client/v3/devices/${second.deviceId}`
    await expectAnswers([
      [alice, `GET ${V3}/devices`, 200],
      [alice, `GET ${device}`, 200],
      [alice, `PUT ${device}`, 200, { display_name: 'The other' }],
      [bob, `GET ${device}`, [404, 'M_NOT_FOUND']],
      [bob, `PUT ${device}`, [404, 'M_NOT_FOUND'], { display_name: 'Mine' }],
      [alice, `DELETE ${device}`, 401, {}],
      [alice, `POST ${V3}/delete_devices`, 401, { devices: [second.deviceId] }],
      [alice, `DELETE ${device}`, 200, proof(alice)],
      [alice, `GET ${device}`, [404, 'M_NOT_FOUND']],
      [second, `GET ${V3}/devices`, [401, 'M_UNKNOWN_TOKEN']],
      [alice, `POST ${V3}/delete_devices`, 200, { devices: ['gone'], ...proof(alice) }],
    ])
  })

  it('about devices of others take nothing away', async () => {
    const body = { devices: [alice.deviceId], ...proof(bob) }
    await expectAnswers([
      [bob, `POST ${V3}/delete_devices`, 200, body],
      [alice, `GET ${V3}/account/whoami`, 200],
    ])
  })

  it('make tokens for a further session', async () => {
    const target = `POST /_matrix/client/v1/login/get_token`
    await expectAnswer(alice, target, 401, { body: {} })
    await expectAnswer(alice, target, [400, 'M_NOT_JSON'], { rawBody: '{' })
    await expectAnswer(hs.client(), target, [401, 'M_MISSING_TOKEN'], { body: {} })
    const answer = await expectAnswer(alice, target, 200, { body: proof(alice) })
    const login = { type: 'm.login.token', token: textIn(answer, 'login_token') }
    const session = await expectAnswer(hs.client(), `POST ${V3}/login`, 200, { body: login })
    expect(session.body['user_id']).to.equal(alice.userId)
    await expectAnswer(hs.client(), `POST ${V3}/login`, [403, 'M_FORBIDDEN'], { body: login })
  })

  it('renew tokens once', async () => {
    const login = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'bob' },
      password: PASSWORD,
      refresh_token: true,
    }
    const answer = await expectAnswer(hs.client(), `POST ${V3}/login`, 200, { body: login })
    const refresh = { refresh_token: textIn(answer, 'refresh_token') }
    const renewed = await expectAnswer(hs.client(), `POST ${V3}/refresh`, 200, { body: refresh })
    const session = {
      userId: bob.userId,
      deviceId: textIn(answer, 'device_id'),
      accessToken: textIn(renewed, 'access_token'),
    }
    await expectAnswers([
      [hs.client().withSession(session), `GET ${V3}/account/whoami`, 200],
      [hs.client(), `POST ${V3}/refresh`, [401, 'M_UNKNOWN_TOKEN'], refresh],
      [hs.client(), `POST ${V3}/refresh`, [401, 'M_UNKNOWN_TOKEN'], { refresh_token: 'made up' }],
      [hs.client(), `POST ${V3}/refresh`, [400, 'M_MISSING_PARAM'], {}],
    ])
  })

  it('end all sessions of one user', async () => {
    const carol = await hs.register('carol')
    const second = await hs.login(carol.userId)
    await expectAnswers([
      [carol, `POST ${V3}/logout/all`, 200],
      [carol, `GET ${V3}/account/whoami`, [401, 'M_UNKNOWN_TOKEN']],
      [second, `GET ${V3}/account/whoami`, [401, 'M_UNKNOWN_TOKEN']],
      [alice, `GET ${V3}/account/whoami`, 200],
    ])
  })

  it('tell those who come too late that their account has ended', async () => {
    const dora = await hs.register('dora')
    const other = { type: 'm.login.password', password: PASSWORD }
    await expectAnswers([
      [dora, `POST ${V3}/account/deactivate`, 401, {}],
      [dora, `POST ${V3}/account/deactivate`, 200, proof(dora)],
      [
        hs.client(),
        `POST ${V3}/login`,
        [403, 'M_USER_DEACTIVATED'],
        { ...other, identifier: { type: 'm.id.user', user: 'dora' } },
      ],
      [
        hs.client(),
        `POST ${V3}/login`,
        [403, 'M_FORBIDDEN'],
        { ...other, identifier: { type: 'm.id.user', user: 'nobody' } },
      ],
    ])
  })

  it('say whether a name is free', async () => {
    const ask = (username: string): string =>
      `GET ${V3}/register/available?username=${encodeURIComponent(username)}`
    await expectAnswers([
      [hs.client(), ask('free'), 200],
      [hs.client(), ask('alice'), [400, 'M_USER_IN_USE']],
      [hs.client(), ask('Not a name'), [400, 'M_INVALID_USERNAME']],
    ])
  })

  it('turn away those who want to register where nobody may', async () => {
    await using closed = await startHomeserver({ config: { enable_registration: false } })
    const body = { username: 'eve', password: PASSWORD, auth: { type: 'm.login.dummy' } }
    const token = `GET /_matrix/client/v1/register/m.login.registration_token/validity?token=a`
    await expectAnswers([
      [closed.client(), `POST ${V3}/register`, [403, 'M_FORBIDDEN'], body],
      [closed.client(), `POST ${V3}/register?kind=guest`, [403, 'M_FORBIDDEN'], {}],
      [closed.client(), token, [403, 'M_FORBIDDEN']],
      [hs.client(), token, 200],
    ])
  })
})
