import { createHmac } from 'node:crypto'
import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver, PASSWORD } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'

const outcome = async (client: MatrixClient, method: string, target: string, body?: JsonObject) => {
  const answer = await client.request(method, target, body === undefined ? {} : { body })
  return [answer.status, answer.body['errcode']]
}

describe('proofs of identity for other services', () => {
  it('are given to users for themselves, and are good for an hour', async () => {
    const clock = new ManualClock()
    await using hs = await startHomeserver({ clock })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const target = path`/_matrix/client/v3/user/${alice.userId}/openid/request_token`
    const token = await alice.must('POST', target, { body: {} })
    expect(token).to.deep.include({ token_type: 'Bearer', matrix_server_name: 'hs.test', expires_in: 3600 })
    const { openIdTokens } = hs.server.services
    expect(await openIdTokens.userOf(token['access_token'] as string)).to.equal(alice.userId)
    expect(await openIdTokens.userOf('another')).to.equal(undefined)
    expect(await outcome(bob, 'POST', target, {})).to.deep.equal([403, 'M_FORBIDDEN'])
    const impostor = alice.withSession({
      userId: alice.userId,
      deviceId: 'X',
      accessToken: token['access_token'] as string,
    })
    expect(await outcome(impostor, 'GET', `${V3}/account/whoami`)).to.deep.equal([401, 'M_UNKNOWN_TOKEN'])
    clock.advance(3_600_000)
    expect(await openIdTokens.userOf(token['access_token'] as string)).to.equal(undefined)
  })

  it('end with the account', async () => {
    await using hs = await startHomeserver()
    const alice = await hs.register('alice')
    const target = path`/_matrix/client/v3/user/${alice.userId}/openid/request_token`
    const { access_token: token } = await alice.must('POST', target, { body: {} })
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: 'alice' },
      password: PASSWORD,
    }
    const { body } = await alice.request('POST', `${V3}/account/deactivate`, { body: {} })
    await alice.must('POST', `${V3}/account/deactivate`, {
      body: { auth: { ...auth, session: body['session']! } },
    })
    expect(await hs.server.services.openIdTokens.userOf(token as string)).to.equal(undefined)
  })
})

describe('credentials of relays', () => {
  const turn = (client: MatrixClient) => client.must('GET', `${V3}/voip/turnServer`)
  const turn_uris = ['turn:relay.test?transport=udp']

  it('are made with the shared secret', async () => {
    const clock = new ManualClock()
    const config = { turn_uris, turn_shared_secret: 'secret', turn_user_lifetime: '2h' }
    await using hs = await startHomeserver({ clock, config })
    const alice = await hs.register('alice')
    const username = `${Math.floor(clock.now() / 1000) + 7200}:${alice.userId}`
    const password = createHmac('sha1', 'secret').update(username).digest('base64')
    expect(await turn(alice)).to.deep.equal({ username, password, ttl: 7200, uris: turn_uris })
  })

  it('or are the same for all, and not for guests where the operator says so', async () => {
    const config = {
      turn_uris,
      turn_username: 'u',
      turn_password: 'p',
      turn_allow_guests: false,
      allow_guest_access: true,
    }
    await using hs = await startHomeserver({ config })
    const alice = await hs.register('alice')
    expect(await turn(alice)).to.deep.equal({ username: 'u', password: 'p', ttl: 3600, uris: turn_uris })
    const guest = await hs.client().must('POST', `${V3}/register`, { query: { kind: 'guest' }, body: {} })
    const asGuest = alice.withSession({
      userId: '',
      deviceId: '',
      accessToken: guest['access_token'] as string,
    })
    expect(await outcome(asGuest, 'GET', `${V3}/voip/turnServer`)).to.deep.equal([
      403,
      'M_GUEST_ACCESS_FORBIDDEN',
    ])
  })

  it('are empty where there are no relays', async () => {
    await using hs = await startHomeserver()
    expect(await turn(await hs.register('alice'))).to.deep.equal({})
  })
})

describe('what is not offered', () => {
  it('is said in the words of the specification', async () => {
    await using hs = await startHomeserver({
      config: { rc_3pid_validation: { per_second: 1000, burst_count: 1000 } },
    })
    const alice = await hs.register('alice')
    const email = { client_secret: 's', email: 'a@b.test', send_attempt: 1 }
    const phone = { client_secret: 's', country: 'GB', phone_number: '07700900001', send_attempt: 1 }
    const session = { client_secret: 's', sid: '1' }
    const cases: [string, string, JsonObject | undefined, unknown[]][] = [
      ['GET', '/_matrix/client/v1/auth_metadata', undefined, [404, 'M_UNRECOGNIZED']],
      ['GET', `${V3}/login/sso/redirect?redirectUrl=https%3A%2F%2Fa.test`, undefined, [404, 'M_NOT_FOUND']],
      [
        'GET',
        `${V3}/login/sso/redirect/idp?redirectUrl=https%3A%2F%2Fa.test`,
        undefined,
        [404, 'M_NOT_FOUND'],
      ],
      ['GET', '/.well-known/matrix/support', undefined, [404, 'M_NOT_FOUND']],
      ['POST', `${V3}/account/3pid/email/requestToken`, email, [400, 'M_THREEPID_MEDIUM_NOT_SUPPORTED']],
      ['POST', `${V3}/account/3pid/msisdn/requestToken`, phone, [400, 'M_THREEPID_MEDIUM_NOT_SUPPORTED']],
      [
        'POST',
        `${V3}/account/3pid/email/requestToken`,
        { ...email, email: 'none' },
        [400, 'M_INVALID_PARAM'],
      ],
      ['POST', `${V3}/account/3pid/email/requestToken`, {}, [400, 'M_MISSING_PARAM']],
      ['POST', `${V3}/register/email/requestToken`, email, [403, 'M_THREEPID_DENIED']],
      ['POST', `${V3}/register/msisdn/requestToken`, phone, [403, 'M_THREEPID_DENIED']],
      ['POST', `${V3}/account/password/email/requestToken`, email, [403, 'M_THREEPID_DENIED']],
      ['POST', `${V3}/account/password/msisdn/requestToken`, phone, [403, 'M_THREEPID_DENIED']],
      ['POST', `${V3}/account/3pid`, { three_pid_creds: session }, [403, 'M_THREEPID_AUTH_FAILED']],
      ['POST', `${V3}/account/3pid/add`, session, [401, undefined]],
    ]
    for (const [method, target, body, expected] of cases) {
      expect(await outcome(alice, method, target, body), target).to.deep.equal(expected)
    }
  })

  it('leaves identifiers to be listed and removed, though there are none', async () => {
    await using hs = await startHomeserver()
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    expect(await alice.must('GET', `${V3}/account/3pid`)).to.deep.equal({ threepids: [] })
    const body = { medium: 'email', address: 'a@b.test' }
    for (const client of [alice, bob]) {
      expect(await client.must('POST', `${V3}/account/3pid/delete`, { body })).to.deep.equal({
        id_server_unbind_result: 'no-support',
      })
      expect(await client.must('POST', `${V3}/account/3pid/unbind`, { body })).to.deep.equal({
        id_server_unbind_result: 'no-support',
      })
    }
  })
})

describe('mutual rooms', () => {
  it('are those that both are in', async () => {
    await using hs = await startHomeserver()
    const [alice, bob, eve] = [await hs.register('alice'), await hs.register('bob'), await hs.register('eve')]
    const shared = await alice.createRoom({ preset: 'public_chat' })
    const left = await alice.createRoom({ preset: 'public_chat' })
    const invited = await alice.createRoom({ invite: [bob.userId] })
    await bob.join(shared)
    await bob.join(left)
    await bob.leave(left)
    await alice.createRoom({})
    const mutual = (
      client: MatrixClient,
      query: Record<string, string>,
      target = '/_matrix/client/v1/mutual_rooms',
    ) => client.request('GET', target, { query })
    expect((await mutual(bob, { user_id: alice.userId })).body).to.deep.equal({ joined: [shared], count: 1 })
    const unstable = '/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms'
    expect((await mutual(alice, { user_id: bob.userId }, unstable)).body['joined']).to.deep.equal([shared])
    expect((await mutual(eve, { user_id: alice.userId })).body).to.deep.equal({ joined: [], count: 0 })
    expect((await mutual(eve, { user_id: '@nobody:hs.test' })).body).to.deep.equal({ joined: [], count: 0 })
    expect(invited).to.be.a('string')
    const bad: Record<string, string>[] = [
      { user_id: eve.userId },
      { user_id: 'eve' },
      { user_id: '@a:hs.test', from: 'x' },
    ]
    for (const query of bad) {
      const { status, body } = await mutual(eve, query)
      expect([status, body['errcode']], JSON.stringify(query)).to.deep.equal([400, 'M_INVALID_PARAM'])
    }
    const missing = await mutual(eve, {})
    expect([missing.status, missing.body['errcode']]).to.deep.equal([400, 'M_MISSING_PARAM'])
  })

  it('come in pages', async function () {
    this.timeout(60_000)
    await using hs = await startHomeserver()
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const rooms = []
    for (let index = 0; index < 101; index++) {
      const roomId = await alice.createRoom({ preset: 'public_chat' })
      rooms.push(roomId)
      await bob.join(roomId)
    }
    const ask = (from?: string) =>
      alice.must('GET', '/_matrix/client/v1/mutual_rooms', { query: { user_id: bob.userId, from } })
    const first = await ask()
    const second = await ask(first['next_batch'] as string)
    expect([first['count'], second['count']]).to.deep.equal([101, 101])
    expect([...(first['joined'] as string[]), ...(second['joined'] as string[])]).to.have.members(rooms)
    expect(second).not.to.have.property('next_batch')
  })
})
