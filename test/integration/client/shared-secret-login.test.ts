import { createHmac } from 'node:crypto'
import { expect } from 'chai'
import type { UserId } from '../../../src/protocol/ids.js'
import type { JsonObject } from '../../../src/util/json.js'
import { PASSWORD, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { ClientResponse } from '../../support/matrix-client.js'

const LOGIN = '/_matrix/client/v3/login'
const TYPE = 'com.devture.shared_secret_auth'
const SECRET = 'a secret that is long enough'

function modules(more: JsonObject = {}): Record<string, unknown> {
  const config = { shared_secret: SECRET, ...more }
  return { modules: [{ module: 'shared_secret_authenticator.SharedSecretAuthProvider', config }] }
}

const BOTH = { m_login_password_support_enabled: true }

function hmac(userId: string, secret = SECRET): string {
  return createHmac('sha512', secret).update(userId).digest('hex')
}

function logIn(hs: TestHomeserver, user: string, proof: JsonObject): Promise<ClientResponse> {
  const body = { identifier: { type: 'm.id.user', user }, ...proof }
  return hs.client().request('POST', LOGIN, { body })
}

const byToken = (token: string): JsonObject => ({ type: TYPE, token })
const byPassword = (password: string): JsonObject => ({ type: 'm.login.password', password })

async function flowsOf(hs: TestHomeserver): Promise<unknown[]> {
  const { flows } = await hs.client().must('GET', LOGIN)
  return (flows as JsonObject[]).map(({ type }) => type)
}

describe('a secret by which somebody logs in as anybody', () => {
  it('is a type of login of its own, and a password where that is wanted', async () => {
    await using hs = await startHomeserver({ config: modules(BOTH) })
    const { userId } = await hs.register('alice')
    expect(await flowsOf(hs)).to.include.members(['m.login.password', TYPE])
    for (const user of ['alice', '@alice:hs.test']) {
      for (const proof of [byToken(hmac(userId)), byPassword(hmac(userId)), byPassword(PASSWORD)]) {
        const { status, body } = await logIn(hs, user, proof)
        expect([status, body['user_id']], JSON.stringify([user, proof['type']])).to.deep.equal([200, userId])
      }
    }
    const wrong = [
      hmac('@bob:hs.test'),
      hmac('alice'),
      hmac(userId, 'another secret'),
      hmac(userId).toUpperCase(),
      hmac(userId).slice(0, -1),
      `${hmac(userId)}0`,
      '',
    ]
    for (const secret of wrong) {
      for (const proof of [byToken(secret), byPassword(secret)]) {
        const { status, body } = await logIn(hs, 'alice', proof)
        expect([status, body['errcode']], secret).to.deep.equal([403, 'M_FORBIDDEN'])
      }
    }
  })

  it('serves the types that are switched on', async () => {
    await using tokens = await startHomeserver({ config: modules() })
    const { userId } = await tokens.register('alice')
    expect((await logIn(tokens, 'alice', byPassword(hmac(userId)))).status).to.equal(403)
    expect((await logIn(tokens, 'alice', byToken(hmac(userId)))).status).to.equal(200)
    expect((await logIn(tokens, 'alice', { type: TYPE })).body['errcode']).to.equal('M_MISSING_PARAM')
    const only = { ...BOTH, com_devture_shared_secret_auth_support_enabled: false }
    await using passwords = await startHomeserver({ config: modules(only) })
    await passwords.register('alice')
    expect(await flowsOf(passwords)).not.to.include(TYPE)
    expect((await logIn(passwords, 'alice', byPassword(hmac(userId)))).status).to.equal(200)
    const unknown = await logIn(passwords, 'alice', byToken(hmac(userId)))
    expect([unknown.status, unknown.body['errcode']]).to.deep.equal([400, 'M_UNKNOWN'])
    await using none = await startHomeserver()
    await none.register('alice')
    expect((await logIn(none, 'alice', byToken(hmac(userId)))).status).to.equal(400)
  })

  it('makes no accounts, and opens none that are closed', async () => {
    await using hs = await startHomeserver({ config: modules(BOTH) })
    await hs.register('carol')
    for (const [user, userId] of [
      ['carol:x', '@carol:x:hs.test'],
      ['nobody', '@nobody:hs.test'],
      ['@alice:other.test', '@alice:other.test'],
      ['', '@:hs.test'],
    ] as const) {
      for (const proof of [byToken(hmac(userId)), byPassword(hmac(userId))])
        expect((await logIn(hs, user, proof)).status, user).to.equal(403)
    }
    const alice = await hs.register('alice')
    await hs.server.services.accountDeactivation.deactivate(alice.userId as UserId, { erase: false })
    for (const proof of [byToken(hmac(alice.userId)), byPassword(hmac(alice.userId))])
      expect((await logIn(hs, 'alice', proof)).body['errcode']).to.equal('M_USER_DEACTIVATED')
  })

  it('counts what is wrong, and only that', async () => {
    const rc_login = { failed_attempts: { per_second: 0.001, burst_count: 2 } }
    await using hs = await startHomeserver({ config: { ...modules(BOTH), rc_login } })
    const { userId } = await hs.register('alice')
    const statuses: number[] = []
    for (const secret of [hmac(userId), hmac(userId), 'wrong', hmac(userId), 'wrong', 'wrong'])
      statuses.push((await logIn(hs, 'alice', byToken(secret))).status)
    expect(statuses).to.deep.equal([200, 200, 403, 200, 403, 429])
  })

  it('is good without passwords of this server', async () => {
    const password_config = { localdb_enabled: false }
    await using hs = await startHomeserver({ config: { ...modules(BOTH), password_config } })
    const { userId } = await hs.register('alice')
    expect(await flowsOf(hs)).to.include('m.login.password')
    expect((await logIn(hs, 'alice', byPassword(PASSWORD))).status).to.equal(403)
    expect((await logIn(hs, 'alice', byPassword(hmac(userId)))).status).to.equal(200)
    await using off = await startHomeserver({
      config: { ...modules(BOTH), password_config: { enabled: false } },
    })
    await off.register('alice')
    expect(await flowsOf(off)).not.to.include('m.login.password')
    expect((await logIn(off, 'alice', byPassword(hmac(userId)))).status).to.be.oneOf([400, 403])
    expect((await logIn(off, 'alice', byToken(hmac(userId)))).status).to.equal(200)
  })

  it('confirms who somebody is', async () => {
    await using hs = await startHomeserver({ config: modules(BOTH) })
    const alice = await hs.register('alice')
    const path = '/_matrix/client/v3/delete_devices'
    const other = await hs.login(alice.userId)
    const ask = (session: string | undefined, proof: JsonObject) =>
      alice.request('POST', path, {
        body: {
          devices: [other.deviceId],
          ...(session && { auth: { session, identifier: { type: 'm.id.user', user: 'alice' }, ...proof } }),
        },
      })
    const { body } = await ask(undefined, {})
    expect(body['flows']).to.deep.equal([{ stages: ['m.login.password'] }, { stages: [TYPE] }])
    const session = body['session'] as string
    for (const proof of [
      byToken('wrong'),
      byToken(hmac('@bob:hs.test')),
      byPassword('wrong'),
      { type: TYPE },
    ])
      expect((await ask(session, proof)).status).to.equal(401)
    expect((await ask(session, byToken(hmac(alice.userId)))).status).to.equal(200)
    const second = (await ask(undefined, {})).body['session'] as string
    expect((await ask(second, byPassword(hmac(alice.userId)))).status).to.equal(200)
  })
})
