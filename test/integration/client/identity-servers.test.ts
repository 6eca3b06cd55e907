import { expect } from 'chai'
import { parseVerifyKey, verifySignature } from '../../../src/protocol/ed25519.js'
import { parseXMatrix, requestText } from '../../../src/protocol/x-matrix.js'
import { signJson } from '../../../src/protocol/signed-json.js'
import type { ServerName } from '../../../src/protocol/ids.js'
import type { JsonObject } from '../../../src/util/json.js'
import { FakeIdentityServer, IDENTITY_TOKEN } from '../../support/fake-identity-server.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { PASSWORD, startHomeserver } from '../../support/homeserver.js'
import { dig, path, syncInvitedTo, syncJoinedTo, type MatrixClient } from '../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'
const ADDRESS = 'Bob@B.test'

describe('invitations through an identity server', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let identity: FakeIdentityServer
  let alice: MatrixClient
  let bob: MatrixClient
  let users = 0

  before(async () => {
    const limit = { per_second: 0.001, burst_count: 1 }
    servers = await startFederation(['a.test', 'limited.test'], {
      configOf: { 'limited.test': { rc_third_party_invite: limit, rc_3pid_validation: limit } },
      config: { rc_3pid_validation: { per_second: 1000, burst_count: 1000 } },
    })
    identity = await FakeIdentityServer.start(servers)
  })
  after(() => servers[Symbol.asyncDispose]())
  beforeEach(async () => {
    users++
    alice = await servers.get('a.test').register(`alice${users}`)
    bob = await servers.get('a.test').register(`bob${users}`)
    identity.users.clear()
    identity.answers.clear()
    identity.isKeyValid = true
  })

  const wish = (fields: JsonObject = {}): JsonObject => ({
    medium: 'email',
    address: ADDRESS,
    id_server: identity.name,
    id_access_token: IDENTITY_TOKEN,
    ...fields,
  })

  async function invite(client: MatrixClient, roomId: string, body = wish()): Promise<[number, unknown]> {
    const answer = await client.request('POST', path`/_matrix/client/v3/rooms/${roomId}/invite`, { body })
    return [answer.status, answer.body['errcode']]
  }

  const stored = (): JsonObject | undefined =>
    identity.received('POST', '/store-invite').at(-1)?.body as JsonObject | undefined

  it('go to the user whom the server knows', async () => {
    identity.users.set('bob@b.test email', bob.userId)
    const roomId = await alice.createRoom()
    expect(await invite(alice, roomId)).to.deep.equal([200, undefined])
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    expect(await invite(alice, roomId)).to.deep.equal([200, undefined])
    await bob.join(roomId)
    expect(await invite(alice, roomId)).to.deep.equal([403, 'M_FORBIDDEN'])
  })

  it('wait for who can prove that the address is theirs', async () => {
    await alice.must('PUT', path`/_matrix/client/v3/profile/${alice.userId}/displayname`, {
      body: { displayname: 'Alice' },
    })
    const roomId = await alice.createRoom({ name: 'Tea', topic: 'Leaves', preset: 'private_chat' })
    expect(await invite(alice, roomId)).to.deep.equal([200, undefined])
    expect(stored()).to.deep.equal({
      medium: 'email',
      address: 'bob@b.test',
      room_id: roomId,
      sender: alice.userId,
      room_name: 'Tea',
      room_join_rules: 'invite',
      sender_display_name: 'Alice',
    })
    const state = (await alice.request('GET', path`/_matrix/client/v3/rooms/${roomId}/state`)).text
    const event = (JSON.parse(state) as JsonObject[]).find(
      ({ type }) => type === 'm.room.third_party_invite',
    )!
    const url = `https://${identity.name}/_matrix/identity/v2/pubkey/isvalid`
    expect(event['content']).to.deep.equal({
      display_name: 'b...@b...',
      public_key: identity.publicKey,
      key_validity_url: url,
      public_keys: [{ public_key: identity.publicKey, key_validity_url: url }],
    })
    const token = event['state_key'] as string
    const join = (): Promise<[number, unknown]> => enter(bob, roomId, token)
    identity.isKeyValid = false
    expect(await join()).to.deep.equal([403, 'M_FORBIDDEN'])
    identity.isKeyValid = true
    expect(await join()).to.deep.equal([200, undefined])
    await alice.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
    expect(identity.received('GET', '/pubkey/isvalid').at(-1)?.query.get('public_key')).to.equal(
      identity.publicKey,
    )
  })

  async function enter(client: MatrixClient, roomId: string, token: string): Promise<[number, unknown]> {
    const signed = { mxid: client.userId, sender: alice.userId, token }
    const body = { third_party_signed: signJson(signed, identity.server.signer) }
    const answer = await client.request('POST', path`/_matrix/client/v3/join/${roomId}`, { body })
    return [answer.status, answer.body['errcode']]
  }

  it('come with a new room', async () => {
    identity.users.set('bob@b.test email', bob.userId)
    const body = { is_direct: true, invite_3pid: [wish(), wish({ address: 'carol@c.test' })] }
    const roomId = await alice.createRoom(body)
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    expect(await alice.state(roomId, 'm.room.member', bob.userId)).to.include({ is_direct: true })
    expect(stored()).to.include({ address: 'carol@c.test', room_id: roomId })
    const refused = await alice.request('POST', `${V3}/createRoom`, {
      body: { invite_3pid: [wish({ id_server: 'not a name' })] },
    })
    expect([refused.status, refused.body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
    // A server that cannot be reached takes nobody's room away.
    expect(await alice.createRoom({ invite_3pid: [wish({ id_server: 'nowhere.test' })] })).to.be.a('string')
  })

  it('are for those who may invite', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await alice.sendState(roomId, 'm.room.power_levels', '', { invite: 50 })
    const before = identity.server.requests.length
    expect(await invite(bob, roomId)).to.deep.equal([403, 'M_FORBIDDEN'])
    await bob.join(roomId)
    expect(await invite(bob, roomId)).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(await invite(alice, '!unknown:a.test')).to.deep.equal([403, 'M_FORBIDDEN'])
    expect(identity.server.requests.length, 'what the identity server learns').to.equal(before)
  })

  it('respect who does not want to be invited', async () => {
    identity.users.set('bob@b.test email', bob.userId)
    await bob.must(
      'PUT',
      path`/_matrix/client/v3/user/${bob.userId}/account_data/m.invite_permission_config`,
      {
        body: { default_action: 'block' },
      },
    )
    const roomId = await alice.createRoom()
    expect(await invite(alice, roomId)).to.deep.equal([403, 'M_INVITE_BLOCKED'])
    identity.users.set('bob@b.test email', 'no user')
    expect(await invite(alice, roomId)).to.deep.equal([200, undefined])
  })

  it('say what the identity server does not like, and nothing that ends a session', async () => {
    const roomId = await alice.createRoom()
    const error = (errcode: string): JsonObject => ({ errcode, error: 'Not so' })
    const cases: [number, JsonObject | string, [number, string]][] = [
      [403, error('M_TERMS_NOT_SIGNED'), [403, 'M_TERMS_NOT_SIGNED']],
      [400, error('M_INVALID_PARAM'), [400, 'M_INVALID_PARAM']],
      [400, error('ORG_EXAMPLE_OTHER'), [400, 'M_FORBIDDEN']],
      [401, error('M_UNKNOWN_TOKEN'), [403, 'M_FORBIDDEN']],
      [403, error('M_UNKNOWN_TOKEN'), [403, 'M_FORBIDDEN']],
      [500, error('M_UNKNOWN'), [502, 'M_CONNECTION_FAILED']],
      [200, 'no JSON', [502, 'M_CONNECTION_FAILED']],
      [200, {}, [502, 'M_CONNECTION_FAILED']],
      [200, { token: 'a b', public_keys: [{ public_key: 'x' }] }, [502, 'M_CONNECTION_FAILED']],
      [200, `{"token": "${'x'.repeat(100_000)}"}`, [502, 'M_CONNECTION_FAILED']],
    ]
    for (const [status, json, expected] of cases) {
      identity.answers.set('/store-invite', { status, json })
      expect(await invite(alice, roomId), JSON.stringify(json).slice(0, 100)).to.deep.equal(expected)
    }
    expect(await invite(alice, roomId, wish({ id_access_token: 'wrong' }))).to.deep.equal([
      403,
      'M_FORBIDDEN',
    ])
    expect(await invite(alice, roomId, wish({ id_server: 'https://id.test' }))).to.deep.equal([
      400,
      'M_INVALID_PARAM',
    ])
    expect(await invite(alice, roomId, { medium: 'email', address: ADDRESS })).to.deep.equal([
      400,
      'M_MISSING_PARAM',
    ])
    expect(await invite(alice, roomId, wish({ id_server: 'nowhere.test' }))).to.deep.equal([
      502,
      'M_CONNECTION_FAILED',
    ])
  })

  it('are limited', async () => {
    const carol = await servers.get('limited.test').register('carol')
    const roomId = await carol.createRoom()
    expect(await invite(carol, roomId)).to.deep.equal([200, undefined])
    expect(await invite(carol, roomId)).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
    const created = await carol.request('POST', `${V3}/createRoom`, { body: { invite_3pid: [wish()] } })
    expect([created.status, created.body['errcode']]).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
    expect(await carol.must('GET', `${V3}/joined_rooms`)).to.deep.equal({ joined_rooms: [roomId] })
  })

  describe('bindings', () => {
    const bind = (client: MatrixClient, fields: JsonObject = {}) =>
      client.request('POST', `${V3}/account/3pid/bind`, {
        body: {
          id_server: identity.name,
          id_access_token: IDENTITY_TOKEN,
          sid: 's',
          client_secret: 'c',
          ...fields,
        },
      })
    const remove = (client: MatrixClient, action: 'delete' | 'unbind', fields: JsonObject = {}) =>
      client.request('POST', `${V3}/account/3pid/${action}`, {
        body: { medium: 'email', address: 'A@b.test', ...fields },
      })

    it('are published and taken back, signed by this server', async () => {
      expect((await bind(alice)).body).to.deep.equal({})
      expect(identity.received('POST', '/3pid/bind').at(-1)?.body).to.deep.equal({
        sid: 's',
        client_secret: 'c',
        mxid: alice.userId,
      })
      expect((await remove(bob, 'unbind')).body).to.deep.equal({ id_server_unbind_result: 'no-support' })
      expect((await remove(alice, 'unbind')).body).to.deep.equal({ id_server_unbind_result: 'success' })
      const { headers, body } = identity.received('POST', '/3pid/unbind').at(-1)!
      expect(body).to.deep.equal({ mxid: alice.userId, threepid: { medium: 'email', address: 'a@b.test' } })
      const origin = 'a.test' as ServerName
      const header = parseXMatrix(headers.authorization!)!
      expect(header).to.include({ origin, destination: identity.name })
      const text = requestText({
        method: 'POST',
        uri: '/_matrix/identity/v2/3pid/unbind',
        origin,
        destination: identity.name,
        content: body!,
      })
      const published = await identity.server.send('a.test', { path: '/_matrix/key/v2/server' })
      const base64 = dig(published.json, 'verify_keys', header.keyId, 'key') as string
      expect(verifySignature(parseVerifyKey(base64)!, text, header.signature)).to.equal(true)
      // What has been taken back is known to nobody.
      expect((await remove(alice, 'unbind')).body).to.deep.equal({ id_server_unbind_result: 'no-support' })
    })

    it('are bounded by what the identity server wants', async () => {
      const outcome = async (answer: ReturnType<typeof bind>): Promise<[number, unknown]> => {
        const { status, body } = await answer
        return [status, body['errcode'] ?? body['id_server_unbind_result']]
      }
      const error = (errcode: string): JsonObject => ({ errcode, error: 'Not so' })
      for (const [status, json, expected] of [
        [400, error('M_SESSION_NOT_VALIDATED'), [400, 'M_SESSION_NOT_VALIDATED']],
        [404, error('M_NO_VALID_SESSION'), [404, 'M_NO_VALID_SESSION']],
        [200, { medium: 'email', address: 'a\u0000b' }, [502, 'M_CONNECTION_FAILED']],
      ] as const) {
        identity.answers.set('/3pid/bind', { status, json })
        expect(await outcome(bind(alice))).to.deep.equal(expected)
      }
      identity.answers.clear()
      await bind(alice)
      for (const [status, json, expected] of [
        [501, 'not served', [200, 'no-support']],
        [403, error('M_FORBIDDEN'), [200, 'no-support']],
        [400, error('M_INVALID_PARAM'), [400, 'M_INVALID_PARAM']],
        [500, error('M_UNKNOWN'), [502, 'M_CONNECTION_FAILED']],
      ] as const) {
        identity.answers.set('/3pid/unbind', { status, json })
        expect(await outcome(remove(alice, 'unbind'))).to.deep.equal(expected)
        // Identifiers go from here all the same.
        expect((await remove(alice, 'delete')).body).to.deep.equal({ id_server_unbind_result: 'no-support' })
      }
      identity.answers.clear()
      expect((await remove(alice, 'delete', { id_server: 'nowhere.test' })).body).to.deep.equal({
        id_server_unbind_result: 'no-support',
      })
      expect((await remove(alice, 'delete')).body).to.deep.equal({ id_server_unbind_result: 'success' })
      expect(await outcome(bind(alice, { id_server: '' }))).to.deep.equal([400, 'M_INVALID_PARAM'])
    })

    it('end with the account', async () => {
      const deactivate = (client: MatrixClient): Promise<JsonObject> =>
        client.must('POST', `${V3}/account/deactivate`, {
          body: {
            auth: {
              type: 'm.login.password',
              password: PASSWORD,
              identifier: { type: 'm.id.user', user: client.userId },
            },
          },
        })
      await bind(alice)
      const before = identity.received('POST', '/3pid/unbind').length
      expect(await deactivate(alice)).to.deep.equal({ id_server_unbind_result: 'success' })
      expect(identity.received('POST', '/3pid/unbind').length).to.equal(before + 1)
      const carol = await servers.get('a.test').register('carol')
      const admin = await servers.get('a.test').register('admin', { isAdmin: true })
      await bind(carol)
      const ended = await admin.must('POST', path`/_synapse/admin/v1/deactivate/${carol.userId}`)
      expect(ended).to.deep.equal({ id_server_unbind_result: 'success' })
      expect(identity.received('POST', '/3pid/unbind').length).to.equal(before + 2)
      await bind(bob)
      identity.answers.set('/3pid/unbind', { status: 500, json: 'broken' })
      expect(await deactivate(bob)).to.deep.equal({ id_server_unbind_result: 'no-support' })
    })

    it('are limited', async () => {
      const carol = await servers.get('limited.test').register('dora')
      expect((await bind(carol)).status).to.equal(200)
      const { status, body } = await bind(carol)
      expect([status, body['errcode']]).to.deep.equal([429, 'M_LIMIT_EXCEEDED'])
    })
  })

  it('reach no private addresses', async () => {
    await using hs = await startHomeserver()
    const carol = await hs.register('carol')
    const roomId = await carol.createRoom()
    for (const server of [`127.0.0.1:${identity.server.port}`, '10.0.0.1', '[::1]:80', '169.254.169.254']) {
      expect(await invite(carol, roomId, wish({ id_server: server })), server).to.deep.equal([
        400,
        'M_SERVER_NOT_TRUSTED',
      ])
    }
  })

  it('are not there where the configuration does not want them', async () => {
    await using hs = await startHomeserver({ config: { enable_3pid_lookup: false } })
    const carol = await hs.register('carol')
    const roomId = await carol.createRoom()
    expect(await invite(carol, roomId)).to.deep.equal([403, 'M_THREEPID_DENIED'])
    const created = await carol.request('POST', `${V3}/createRoom`, { body: { invite_3pid: [wish()] } })
    expect([created.status, created.body['errcode']]).to.deep.equal([403, 'M_THREEPID_DENIED'])
    expect(await carol.must('GET', `${V3}/joined_rooms`)).to.deep.equal({ joined_rooms: [roomId] })
  })
})
