import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createHmac } from 'node:crypto'
import { expect } from 'chai'
import { adminRoutes } from '../../../../src/api/admin/index.js'
import { accountsRoutes } from '../../../../src/api/client/accounts-routes.js'
import { HttpResponse } from '../../../../src/http/responses.js'
import type { Route } from '../../../../src/http/route.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import { isJsonObject, type JsonObject } from '../../../../src/util/json.js'
import {
  CLIENT,
  createAccountServices,
  SHARED_SECRET,
  type AccountFixture,
  type AccountOptions,
} from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

const ENDPOINTS = join(import.meta.dirname, '../../../../../shared/spec/endpoints.json')
const routes = [...accountsRoutes, ...adminRoutes]

interface Endpoint {
  readonly api: string
  readonly method: string
  readonly path: string
  readonly operation: string
}

describe('routes of accounts', () => {
  it('have names and paths of their own', () => {
    expect(new Set(routes.map((route) => route.operationId)).size).to.equal(routes.length)
    expect(new Set(routes.map((route) => `${route.method} ${String(route.path)}`)).size).to.equal(
      routes.length,
    )
  })

  it('are those of the specification', function () {
    if (!existsSync(ENDPOINTS)) this.skip()
    const endpoints = JSON.parse(readFileSync(ENDPOINTS, 'utf8')) as Endpoint[]
    const operations = new Map(
      endpoints
        .filter((endpoint) => endpoint.api === 'client-server')
        .map((endpoint) => [`${endpoint.method} ${endpoint.path}`, endpoint.operation]),
    )
    for (const route of accountsRoutes) {
      if (route.operationId === 'getServerWellKnown' || route.operationId.startsWith('unstable')) continue
      // Pages for people with a browser are where Synapse has them.
      if (/^\/_synapse\/|\/(?:submit_token|fallback\/web|cas\/ticket)$/.test(String(route.path))) continue
      // What is at no endpoint's path.
      if (String(route.path).endsWith('*')) continue
      const path = String(route.path).replace(/:([a-zA-Z]+)/g, '{$1}')
      expect(operations.get(`${route.method} ${path}`), path).to.equal(route.operationId)
    }
  })
})

interface Call {
  readonly params?: Record<string, string>
  readonly query?: Record<string, string>
  readonly body?: JsonObject
  readonly requester?: Requester
}

interface Answer {
  readonly status: number
  readonly json: JsonObject
  readonly headers: Readonly<Record<string, string>>
}

forEachDatabase('answers of accounts', (open) => {
  let fixture: AccountFixture

  const start = async (options?: AccountOptions): Promise<void> => {
    fixture = await createAccountServices(await open(), options)
  }
  beforeEach(() => start())

  const call = async (operationId: string, input: Call = {}): Promise<Answer> => {
    const route = routes.find((candidate) => candidate.operationId === operationId)
    if (route === undefined) throw new Error(`There is no operation ${operationId}`)
    const result = await handle(route, input, fixture.services)
    if (result instanceof HttpResponse) {
      const json = result.body !== undefined && 'json' in result.body ? result.body.json : {}
      return { status: result.status, json: isJsonObject(json) ? json : {}, headers: result.headers }
    }
    if (!isJsonObject(result)) throw new Error('The answer is not an object')
    return { status: 200, json: result, headers: {} }
  }
  const requesterOf = (json: JsonObject): Promise<Requester> =>
    fixture.services.accessTokens.authenticate(json['access_token'] as string, CLIENT)
  const registerAs = async (body: JsonObject): Promise<JsonObject> => {
    const challenge = await call('register', { body })
    expect(challenge.status).to.equal(401)
    const auth = { type: 'm.login.dummy', session: challenge.json['session'] ?? null }
    return (await call('register', { body: { ...body, auth } })).json
  }

  it('carry a new user from registration to logout', async () => {
    const registered = await registerAs({ username: 'alice', password: 'secret', device_id: null })
    expect(registered).to.have.all.keys('user_id', 'home_server', 'access_token', 'device_id')
    expect(registered).to.include({ user_id: '@alice:hs.test', home_server: 'hs.test' })

    const identifier = { type: 'm.id.user', user: 'alice' }
    const body = {
      type: 'm.login.password',
      identifier,
      password: 'secret',
      refresh_token: true,
      device_id: 'D',
    }
    const { json: session } = await call('login', { body })
    expect(session).to.have.all.keys(
      'user_id',
      'home_server',
      'access_token',
      'refresh_token',
      'expires_in_ms',
      'device_id',
      'well_known',
    )
    expect(session['well_known']).to.deep.equal({ 'm.homeserver': { base_url: 'https://hs.test/' } })

    const requester = await requesterOf(session)
    expect((await call('getTokenOwner', { requester })).json).to.deep.equal({
      user_id: '@alice:hs.test',
      device_id: 'D',
      is_guest: false,
    })
    const { json: devices } = await call('getDevices', { requester })
    expect(devices['devices']).to.have.length(2)
    const { json: device } = await call('getDevice', { requester, params: { deviceId: 'D' } })
    expect(device).to.have.all.keys('device_id', 'display_name', 'last_seen_ip', 'last_seen_ts')

    const refreshed = await call('refresh', { body: { refresh_token: session['refresh_token'] ?? null } })
    expect(refreshed.json).to.have.all.keys('access_token', 'refresh_token', 'expires_in_ms')
    const again = await requesterOf(refreshed.json)
    expect((await call('logout', { requester: again })).json).to.deep.equal({})
    expect(await rejection(requesterOf(refreshed.json))).to.have.property('errcode', 'M_UNKNOWN_TOKEN')
  })

  it('refuse types of login that are not offered', async () => {
    for (const type of ['m.login.unknown', 'm.login.sso']) {
      expect(await rejection(call('login', { body: { type } }))).to.include({
        errcode: 'M_UNKNOWN',
        status: 400,
      })
    }
    const missing = await rejection(call('login', { body: { type: 'm.login.password', user: 'alice' } }))
    expect(missing).to.have.property('errcode', 'M_MISSING_PARAM')
    const flows = (await call('getLoginFlows')).json['flows']
    expect(flows).to.deep.equal([
      { type: 'm.login.password' },
      { type: 'm.login.token', get_login_token: true },
    ])
  })

  it('make guests of whoever asks, whatever else they ask for', async () => {
    const body = {
      username: 'alice',
      password: 'x',
      device_id: 'MINE',
      initial_device_display_name: 'Browser',
    }
    const { json } = await call('register', { query: { kind: 'guest' }, body })
    expect(json['user_id']).to.match(/^@[0-9]+:hs\.test$/)
    expect(json['device_id']).not.to.equal('MINE')
    expect(await requesterOf(json)).to.include({ isGuest: true })
  })

  it('say whether a name can be had', async () => {
    const { json } = await call('checkUsernameAvailability', { query: { username: 'alice' } })
    expect(json).to.deep.equal({ available: true })
  })

  it('want the password before anything that cannot be undone', async () => {
    const { requester, deviceId } = await fixture.createUser('alice')
    const operations: [string, Call][] = [
      ['deleteDevice', { params: { deviceId }, body: {} }],
      ['deleteDevices', { body: { devices: [deviceId] } }],
      ['changePassword', { body: { new_password: 'new' } }],
      ['generateLoginToken', { body: {} }],
      ['deactivateAccount', { body: {} }],
    ]
    for (const [operationId, input] of operations) {
      const answer = await call(operationId, { ...input, requester })
      expect(answer.status, operationId).to.equal(401)
      expect(answer.json['flows'], operationId).to.deep.equal([{ stages: ['m.login.password'] }])
    }
    const proof = { type: 'm.login.password', user: 'alice', password: 'secret' }
    for (const [operationId, input] of operations.slice(2)) {
      const answer = await call(operationId, { ...input, requester, body: { ...input.body, auth: proof } })
      expect(answer.status, operationId).to.equal(operationId === 'changePassword' ? 200 : 401)
    }
    const newProof = { ...proof, password: 'new' }
    const token = await call('generateLoginToken', { requester, body: { auth: newProof } })
    expect(token.json).to.have.all.keys('login_token', 'expires_in_ms')
    const deactivated = await call('deactivateAccount', { requester, body: { auth: newProof } })
    expect(deactivated.json).to.deep.equal({ id_server_unbind_result: 'success' })
  })

  it('let application services manage devices without a password', async () => {
    const { requester } = await fixture.createUser('alice')
    const bridge = { ...requester, appserviceId: 'bridge' }
    const params = { deviceId: 'BRIDGE' }
    const body = { display_name: 'A bridge' }
    expect((await call('updateDevice', { requester: bridge, params, body })).status).to.equal(201)
    expect((await call('updateDevice', { requester: bridge, params, body })).status).to.equal(200)
    expect((await call('deleteDevice', { requester: bridge, params, body: {} })).status).to.equal(200)
    const unknown = await rejection(call('updateDevice', { requester, params, body }))
    expect(unknown).to.have.property('errcode', 'M_NOT_FOUND')
  })

  it('describe the server', async () => {
    const versions = await call('getVersions')
    expect(versions.json['versions']).to.include.members(['r0.6.1', 'v1.1', 'v1.11', 'v1.19'])
    expect(versions.headers).to.include({ Vary: 'Authorization' })
    const { requester } = await fixture.createUser('alice')
    const { json } = await call('getCapabilities', { requester })
    expect(json['capabilities']).to.deep.include({
      'm.change_password': { enabled: true },
      'm.get_login_token': { enabled: true },
    })
    expect((await call('getWellknown')).json).to.have.property('m.homeserver')
    expect(await rejection(call('getServerWellKnown'))).to.have.property('errcode', 'M_NOT_FOUND')
    expect((await call('adminGetServerVersion')).json).to.have.property('server_version')
  })

  it('set fields of a profile', async () => {
    const { requester, userId } = await fixture.createUser('alice')
    const params = { userId, keyName: 'displayname' }
    await call('setProfileField', { requester, params, body: { displayname: 'Alice' } })
    expect((await call('getProfileField', { params })).json).to.deep.equal({ displayname: 'Alice' })
    await call('deleteProfileField', { requester, params })
    expect((await call('getUserProfile', { params: { userId } })).json).to.deep.equal({})
  })

  it('register with the shared secret, as the tools do it', async () => {
    const { json } = await call('adminGetRegistrationNonce')
    const nonce = json['nonce'] as string
    const mac = createHmac('sha1', SHARED_SECRET).update(`${nonce}\0alice\0secret\0admin\0bot`).digest('hex')
    const body = { nonce, username: 'alice', password: 'secret', admin: true, user_type: 'bot', mac }
    const registered = (await call('adminRegisterWithSharedSecret', { body })).json
    expect(registered).to.have.all.keys('user_id', 'home_server', 'access_token', 'device_id')
    expect(await requesterOf(registered)).to.include({ isAdmin: true })
  })
})

/** What the endpoint answers to input that its schemas have read. */
/** What the operations ask besides the services of accounts: nobody has told an identity server anything. */
const NEIGHBOURS = { identityBindings: { unbindAll: () => Promise.resolve('success') } }

function handle(route: Route, input: Call, services: AccountFixture['services']): Promise<unknown> {
  const definition = route as unknown as {
    query?: { parse(value: unknown): unknown }
    body?: { parse(value: unknown): unknown }
    handler(input: unknown, services: AccountFixture['services'] & typeof NEIGHBOURS): Promise<unknown>
  }
  return definition.handler(
    {
      params: input.params ?? {},
      query: definition.query?.parse(input.query ?? {}),
      body: definition.body?.parse(input.body ?? {}),
      requester: input.requester,
      request: { ...CLIENT, method: route.method, url: String(route.path) },
    },
    { ...services, ...NEIGHBOURS },
  )
}
