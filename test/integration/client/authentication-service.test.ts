import { expect } from 'chai'
import { createLogger } from '../../../src/telemetry/logger.js'
import type { JsonObject } from '../../../src/util/json.js'
import { CrossSigningIdentity } from '../../support/encryption.js'
import { FakeAppservice } from '../../support/fake-appservice.js'
import {
  ADMIN_SCOPE,
  FakeAuthenticationService,
  SERVICE_SECRET,
} from '../../support/fake-authentication-service.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { MISBEHAVIOUR } from '../../support/http-servers.js'
import { ManualClock } from '../../support/manual-clock.js'
import type { MatrixClient } from '../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'
const WHOAMI = `${V3}/account/whoami`
const METADATA = '/_matrix/client/v1/auth_metadata'
const UNSTABLE = '/_matrix/client/unstable/org.matrix.msc2965'
const KEYS = `${V3}/keys/device_signing/upload`

forEachServerDatabase('a server whose accounts an authentication service has', (database) => {
  let service: FakeAuthenticationService
  let bridge: FakeAppservice
  let hs: TestHomeserver
  let lines: string[]

  beforeEach(async () => {
    service = await FakeAuthenticationService.start()
    bridge = await FakeAppservice.start()
    lines = []
    const log = await createLogger({ level: 'info', destination: { write: (line) => lines.push(line) } })
    const config = { ...service.config, app_service_config_files: [bridge.file] }
    hs = await startHomeserver({ database, config, clock: new ManualClock(), log })
    for (const localpart of ['alice', 'bob']) await call('provision_user', { localpart })
  })
  afterEach(async () => {
    await hs[Symbol.asyncDispose]()
    await bridge[Symbol.asyncDispose]()
    await service[Symbol.asyncDispose]()
  })

  /** The service calls. */
  async function call(name: string, body: JsonObject): Promise<void> {
    const asService = hs.client().withSession({ userId: '', deviceId: '', accessToken: SERVICE_SECRET })
    await asService.must('POST', `/_synapse/mas/${name}`, { body })
  }

  /** A session as the service begins it. */
  async function begin(localpart: string, deviceId: string, ...scopes: string[]): Promise<MatrixClient> {
    await call('upsert_device', { localpart, device_id: deviceId })
    return as(service.issue(localpart, deviceId, ...scopes), `@${localpart}:hs.test`, deviceId)
  }

  function as(accessToken: string, userId = '', deviceId = ''): MatrixClient {
    return hs.client().withSession({ userId, deviceId, accessToken })
  }

  async function outcome(client: MatrixClient, method: string, target: string, body?: JsonObject) {
    const response = await client.request(method, target, body === undefined ? {} : { body })
    return [response.status, response.body['errcode']]
  }

  it('lets people in with the tokens of the service', async () => {
    const alice = await begin('alice', 'PHONE')
    const bob = await begin('bob', 'PHONE')
    expect(await alice.must('GET', WHOAMI)).to.deep.equal({
      user_id: '@alice:hs.test',
      device_id: 'PHONE',
      is_guest: false,
    })
    expect(await bob.must('GET', WHOAMI)).to.include({ user_id: '@bob:hs.test' })
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    await bob.sendText(roomId, 'hello')
    // Four requests and more, and two questions.
    expect(service.introspections).to.have.length(2)
    expect(service.introspections[0]?.headers).to.include({
      authorization: `Bearer ${SERVICE_SECRET}`,
      'x-mas-supports-device-id': '1',
    })
    const { text: metrics } = await hs.client().request('GET', '/_synapse/metrics')
    expect(metrics).to.match(/^synapse_api_auth_delegated_introspection_response_count\{code="200"\} 2$/m)
    expect(lines.join('')).not.to.include(SERVICE_SECRET).and.not.to.include('mat_')
  })

  it('ends a session when the service deletes its device, and others go on', async () => {
    const phone = await begin('alice', 'PHONE')
    const tablet = await begin('alice', 'TABLET')
    await phone.must('GET', WHOAMI)
    await tablet.must('GET', WHOAMI)
    await call('delete_device', { localpart: 'alice', device_id: 'PHONE' })
    // Although the service, which has not heard of that yet, would say that it is good.
    expect(await outcome(phone, 'GET', WHOAMI)).to.deep.equal([401, 'M_UNKNOWN_TOKEN'])
    await tablet.must('GET', WHOAMI)
  })

  it('knows no tokens but those of the service and of application services', async () => {
    const { userId, session } = await hs.server.services.accountRegistration.registerDirectly({
      username: 'carol',
      password: 'correct horse',
    })
    expect(userId).to.equal('@carol:hs.test')
    for (const token of [session!.accessToken, SERVICE_SECRET, 'invented']) {
      expect(await outcome(as(token), 'GET', WHOAMI), token).to.deep.equal([401, 'M_UNKNOWN_TOKEN'])
    }
    expect(await outcome(hs.client(), 'GET', WHOAMI)).to.deep.equal([401, 'M_MISSING_TOKEN'])
    const asked = service.introspections.length
    const bot = bridge.client(hs.url)
    expect(await bot.must('GET', WHOAMI)).to.include({ user_id: '@bridge_bot:hs.test' })
    expect(service.introspections).to.have.length(asked)
    // Who they act as is a right of application services alone.
    const alice = await begin('alice', 'PHONE')
    const asBob = await alice.must('GET', WHOAMI, { query: { user_id: '@bob:hs.test' } })
    expect(asBob).to.include({ user_id: '@alice:hs.test' })
  })

  it('locks and deactivates as the service says', async () => {
    const alice = await begin('alice', 'PHONE')
    await alice.must('GET', WHOAMI)
    await call('provision_user', { localpart: 'alice', locked: true })
    expect(await outcome(alice, 'GET', WHOAMI)).to.deep.equal([401, 'M_USER_LOCKED'])
    await call('provision_user', { localpart: 'alice', locked: false })
    await alice.must('GET', WHOAMI)
    await call('delete_user', { localpart: 'alice', erase: false })
    expect(await outcome(alice, 'GET', WHOAMI)).to.deep.equal([401, 'M_UNKNOWN_TOKEN'])
    await call('reactivate_user', { localpart: 'alice' })
    expect(await outcome(alice, 'GET', WHOAMI)).to.deep.equal([401, 'M_UNKNOWN_TOKEN'])
    await (await begin('alice', 'PHONE')).must('GET', WHOAMI)
  })

  it('keeps tokens without a device apart', async () => {
    const one = as(service.issue('alice'))
    const other = as(service.issue('alice'))
    expect(await one.must('GET', WHOAMI)).to.deep.equal({ user_id: '@alice:hs.test', is_guest: false })
    const bob = await begin('bob', 'PHONE')
    for (const [client, by] of [
      [one, 'one'],
      [one, 'one again'],
      [other, 'other'],
    ] as const) {
      const body = { messages: { '@bob:hs.test': { PHONE: { by } } } }
      await client.must('PUT', `${V3}/sendToDevice/m.test/txn`, { body })
    }
    const { to_device: toDevice } = await bob.must('GET', `${V3}/sync`)
    const events = (toDevice as JsonObject)['events'] as JsonObject[]
    expect(events.map(({ content }) => content)).to.deep.equal([{ by: 'one' }, { by: 'other' }])
  })

  it('makes administrators of those whose token says so', async () => {
    const admin = await begin('alice', 'PHONE', ADMIN_SCOPE)
    const user = await begin('bob', 'PHONE')
    const users = '/_synapse/admin/v3/users?guests=false'
    // With the user of the application service.
    expect((await admin.must('GET', users))['total']).to.equal(3)
    expect(await outcome(user, 'GET', users)).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(await outcome(admin, 'GET', '/_synapse/admin/v3/users')).to.deep.equal([400, 'M_INVALID_PARAM'])
    // An account that was made an administrator's here has no more rights than its token.
    await hs.server.services.accountAdministration.setFlag('@bob:hs.test' as never, 'isAdmin', true)
    expect(await outcome(user, 'GET', users)).to.deep.equal([403, 'M_FORBIDDEN'])
  })

  it('says what the service says of itself, asking it now and then', async () => {
    for (const target of [METADATA, `${UNSTABLE}/auth_metadata`]) {
      const response = await hs.client().request('GET', target)
      expect(response.body).to.deep.equal(service.metadata)
      expect(response.headers.get('cache-control')).to.match(/^public, max-age=600/)
    }
    const issuer = await hs.client().must('GET', `${UNSTABLE}/auth_issuer`)
    expect(issuer).to.deep.equal({ issuer: 'https://auth.test/' })
    const wellKnown = await hs.client().must('GET', '/.well-known/matrix/client')
    expect(wellKnown).to.deep.include({
      'm.homeserver': { base_url: 'https://hs.test/' },
      'org.matrix.msc2965.authentication': {
        issuer: 'https://auth.test/',
        account: 'https://auth.test/account/',
      },
    })
    expect(service.metadataFetches).to.equal(1)
  })

  it('answers 503 while the service does not answer, or not in its right mind', async () => {
    const { silent: _silent, loop: _loop, trickle: _trickle, ...quick } = MISBEHAVIOUR
    const paths = { '/oauth2/introspect': WHOAMI, '/.well-known/openid-configuration': METADATA }
    for (const [asked, target] of Object.entries(paths)) {
      for (const [name, handler] of Object.entries(quick)) {
        service.answers.set(asked, handler)
        expect(await outcome(as('mat_x'), 'GET', target), `${target} ${name}`).to.deep.equal([
          503,
          'M_UNKNOWN',
        ])
      }
      service.answers.set(asked, (_request, response) => {
        response.writeHead(302, { Location: `${service.url}elsewhere` }).end()
      })
      service.answers.set('/elsewhere', (_request, response) => {
        response.end('{"active":true,"username":"alice","scope":"urn:matrix:client:api:*"}')
      })
      expect(await outcome(as('mat_x'), 'GET', target)).to.deep.equal([503, 'M_UNKNOWN'])
    }
    expect(await outcome(hs.client(), 'GET', '/.well-known/matrix/client')).to.deep.equal([503, 'M_UNKNOWN'])
    service.answers.clear()
    await (await begin('alice', 'PHONE')).must('GET', WHOAMI)
    expect((await hs.client().request('GET', METADATA)).status).to.equal(200)
  })

  it('does not do what the service does', async () => {
    const alice = await begin('alice', 'PHONE', ADMIN_SCOPE)
    const session = { client_secret: 's', sid: '1' }
    const email = { client_secret: 's', email: 'a@b.test', send_attempt: 1 }
    const phone = { client_secret: 's', country: 'GB', phone_number: '07700900001', send_attempt: 1 }
    const login = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'alice' },
      password: 'x',
    }
    const admin = '/_synapse/admin/v1'
    const cases: [string, string, JsonObject?][] = [
      ['GET', `${V3}/login`],
      ['POST', `${V3}/login`, login],
      ['POST', '/_matrix/client/r0/login', login],
      ['POST', '/_matrix/client/v1/login/get_token', {}],
      ['POST', `${V3}/refresh`, { refresh_token: 'x' }],
      ['POST', `${V3}/logout`, {}],
      ['POST', `${V3}/logout/all`, {}],
      ['GET', `${V3}/register/available?username=x`],
      ['POST', `${V3}/register/email/requestToken`, email],
      ['POST', `${V3}/register/msisdn/requestToken`, phone],
      ['GET', '/_matrix/client/v1/register/m.login.registration_token/validity?token=x'],
      ['POST', `${V3}/account/password`, { new_password: 'x' }],
      ['POST', `${V3}/account/password/email/requestToken`, email],
      ['POST', `${V3}/account/password/msisdn/requestToken`, phone],
      ['POST', `${V3}/account/deactivate`, {}],
      ['POST', `${V3}/account/3pid`, { three_pid_creds: session }],
      ['POST', `${V3}/account/3pid/add`, session],
      ['POST', `${V3}/account/3pid/delete`, { medium: 'email', address: 'a@b.test' }],
      ['POST', `${V3}/account/3pid/email/requestToken`, email],
      ['POST', `${V3}/account/3pid/msisdn/requestToken`, phone],
      ['POST', `${V3}/delete_devices`, { devices: ['PHONE'] }],
      ['DELETE', `${V3}/devices/PHONE`, {}],
      ['GET', `${admin}/register`],
      ['POST', `${admin}/register`, {}],
      ['POST', `${admin}/reset_password/@bob:hs.test`, { new_password: 'x' }],
      ['GET', `${admin}/users/@bob:hs.test/admin`],
      ['PUT', `${admin}/users/@bob:hs.test/admin`, { admin: true }],
      ['POST', `${admin}/users/@bob:hs.test/login`, {}],
      ['GET', `${admin}/registration_tokens`],
      ['POST', `${admin}/registration_tokens/new`, {}],
      ['GET', `${admin}/registration_tokens/x`],
      ['POST', `${admin}/account_validity/validity`, {}],
    ]
    for (const [method, target, body] of cases) {
      expect(await outcome(alice, method, target, body), target).to.deep.equal([404, 'M_UNRECOGNIZED'])
    }
    expect(await alice.must('GET', `${V3}/account/3pid`)).to.deep.equal({ threepids: [] })
    const { capabilities } = await alice.must('GET', `${V3}/capabilities`)
    expect(capabilities).to.deep.include({
      'm.change_password': { enabled: false },
      'm.3pid_changes': { enabled: false },
      'm.get_login_token': { enabled: false },
    })
  })

  it('lets application services alone make accounts, and delete devices', async () => {
    const register = (client: MatrixClient, body: JsonObject, query = {}) =>
      client.request('POST', `${V3}/register`, { body, query })
    const errcodeOf = async (...args: Parameters<typeof register>) => {
      const { status, body } = await register(...args)
      return [status, body['errcode']]
    }
    const anybody = hs.client()
    const bot = bridge.client(hs.url)
    const type = 'm.login.application_service'
    const wish = { type, username: '_bridge_one' }
    expect(await errcodeOf(anybody, {})).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(await errcodeOf(anybody, { username: 'x', password: 'y' })).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(await errcodeOf(anybody, {}, { kind: 'guest' })).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(await errcodeOf(anybody, { ...wish, inhibit_login: true })).to.deep.equal([401, 'M_MISSING_TOKEN'])
    const alice = await begin('alice', 'PHONE')
    expect(await errcodeOf(alice, { ...wish, inhibit_login: true })).to.deep.equal([401, 'M_UNKNOWN_TOKEN'])
    for (const inhibit of [{}, { inhibit_login: false }]) {
      expect(await errcodeOf(bot, { ...wish, ...inhibit })).to.deep.equal([
        400,
        'M_APPSERVICE_LOGIN_UNSUPPORTED',
      ])
    }
    const made = await register(bot, { ...wish, inhibit_login: true })
    expect(made.body).to.include({ user_id: '@_bridge_one:hs.test' }).and.not.to.have.property('access_token')
    const one = bridge.client(hs.url, '@_bridge_one:hs.test')
    expect((await one.request('PUT', `${V3}/devices/D`, { body: {} })).status).to.equal(201)
    expect((await one.request('DELETE', `${V3}/devices/D`, { body: {} })).status).to.equal(200)
  })

  it('has new cross-signing keys approved at the service', async () => {
    const alice = await begin('alice', 'PHONE')
    const first = new CrossSigningIdentity(alice.userId)
    const second = new CrossSigningIdentity(alice.userId)
    const upload = (identity: CrossSigningIdentity, more: JsonObject = {}) =>
      alice.request('POST', KEYS, { body: { ...identity.upload, ...more } })
    expect((await upload(first)).status).to.equal(200)
    expect((await upload(first)).status).to.equal(200)
    const url = 'https://auth.test/account/?action=org.matrix.cross_signing_reset'
    for (const auth of [undefined, { session: 'dummy' }, { type: 'm.login.dummy', session: 'dummy' }]) {
      const { status, body } = await upload(second, auth === undefined ? {} : { auth })
      expect(status).to.equal(401)
      expect(body).to.deep.include({
        flows: [{ stages: ['m.oauth'] }, { stages: ['org.matrix.cross_signing_reset'] }],
        params: { 'm.oauth': { url }, 'org.matrix.cross_signing_reset': { url } },
      })
      expect(body['session']).to.be.a('string')
    }
    for (const stage of ['m.oauth', 'org.matrix.cross_signing_reset']) {
      const page = await hs.client().request('GET', `${V3}/auth/${stage}/fallback/web?session=dummy`)
      expect([page.status, page.headers.get('location')]).to.deep.equal([302, url])
    }
    // Of somebody else's keys nothing was said.
    await call('allow_cross_signing_reset', { localpart: 'bob' })
    expect((await upload(second)).status).to.equal(401)
    await call('allow_cross_signing_reset', { localpart: 'alice' })
    expect((await upload(second, { auth: { session: 'dummy' } })).status).to.equal(200)
    // Once.
    expect((await upload(new CrossSigningIdentity(alice.userId))).status).to.equal(401)
  })
})

describe('a server without an authentication service', () => {
  it('has nothing for one, and offers nothing of one', async () => {
    await using hs = await startHomeserver()
    const caller = hs.client().withSession({ userId: '', deviceId: '', accessToken: SERVICE_SECRET })
    for (const [method, target] of [
      ['GET', '/_synapse/mas/query_user?localpart=alice'],
      ['POST', '/_synapse/mas/provision_user'],
      ['GET', METADATA],
      ['GET', `${UNSTABLE}/auth_metadata`],
      ['GET', `${UNSTABLE}/auth_issuer`],
    ] as const) {
      const response = await caller.request(method, target, method === 'POST' ? { body: {} } : {})
      expect([response.status, response.body['errcode']], target).to.deep.equal([404, 'M_UNRECOGNIZED'])
    }
  })
})
