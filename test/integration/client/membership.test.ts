import { expect } from 'chai'
import {
  forEachServerDatabase,
  PASSWORD,
  startHomeserver,
  type TestHomeserver,
} from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

forEachServerDatabase('memberships', (database) => {
  let server: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient
  let carol: MatrixClient

  before(async () => {
    server = await startHomeserver({ database, config: { allow_guest_access: true } })
    alice = await server.register('alice')
    bob = await server.register('bob')
    carol = await server.register('carol')
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
  })

  const post = (client: MatrixClient, target: string, body?: JsonObject) =>
    client.request('POST', target, body === undefined ? {} : { body })
  const membership = async (roomId: string, of: MatrixClient): Promise<unknown> =>
    (await alice.state(roomId, 'm.room.member', of.userId))['membership']

  it('need no body where nothing is to be said', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const room = path`/_matrix/client/v3/rooms/${roomId}`
    expect((await post(bob, `${room}/join`)).body).to.deep.equal({ room_id: roomId })
    expect((await post(bob, `${room}/leave`)).body).to.deep.equal({})
    expect((await post(bob, `${room}/forget`)).body).to.deep.equal({})
    expect((await post(bob, path`/_matrix/client/v3/join/${roomId}`)).status).to.equal(200)
    expect((await post(bob, path`/_matrix/client/r0/join/${roomId}`)).status).to.equal(200)
  })

  it('carry what clients put into them', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'custom' })
    const body = { foo: 'bar', reason: 'hello', third_party_signed: null }
    const joined = await post(bob, path`/_matrix/client/v3/join/${'#custom:hs.test'}`, body)
    expect(joined.body).to.deep.equal({ room_id: roomId })
    expect(await alice.state(roomId, 'm.room.member', bob.userId)).to.include({
      membership: 'join',
      foo: 'bar',
      reason: 'hello',
    })
  })

  it('follow invitations, kicks, bans', async () => {
    const roomId = await alice.createRoom()
    const refusedJoin = await post(bob, path`/_matrix/client/v3/join/${roomId}`, {})
    expect([refusedJoin.status, refusedJoin.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    await alice.invite(roomId, bob.userId, 'come in')
    await bob.join(roomId)
    await alice.kick(roomId, bob.userId, 'out')
    expect(await membership(roomId, bob)).to.equal('leave')
    const again = await post(alice, path`/_matrix/client/v3/rooms/${roomId}/kick`, { user_id: bob.userId })
    expect(again.status).to.equal(403)
    await alice.ban(roomId, bob.userId)
    expect(await membership(roomId, bob)).to.equal('ban')
    await alice.unban(roomId, bob.userId)
    expect(await membership(roomId, bob)).to.equal('leave')
    const unbanned = await post(alice, path`/_matrix/client/v3/rooms/${roomId}/unban`, {
      user_id: bob.userId,
    })
    expect([unbanned.status, unbanned.body['errcode']]).to.deep.equal([403, 'M_BAD_STATE'])
  })

  it('refuse invitations by identity servers that are not there, and of nobody', async () => {
    const roomId = await alice.createRoom()
    const target = path`/_matrix/client/v3/rooms/${roomId}/invite`
    const byMail = { id_server: 'x', id_access_token: 'y', medium: 'email', address: 'a@b' }
    expect((await post(alice, target, byMail)).body['errcode']).to.equal('M_CONNECTION_FAILED')
    expect((await post(alice, target, {})).status).to.equal(400)
    expect((await post(alice, target, { user_id: 7 })).status).to.equal(400)
    expect((await post(alice, target, { user_id: 'bob' })).body['errcode']).to.equal('M_INVALID_PARAM')
  })

  it('knock', async () => {
    const roomId = await alice.createRoom({ room_version: '7' })
    const knock = (): Promise<number> =>
      post(bob, path`/_matrix/client/v3/knock/${roomId}`, { reason: 'please' }).then(({ status }) => status)
    expect(await knock()).to.equal(403)
    await alice.sendState(roomId, 'm.room.join_rules', '', { join_rule: 'knock' })
    expect(await knock()).to.equal(200)
    expect(await knock()).to.equal(200)
    await alice.kick(roomId, bob.userId)
    expect(await knock()).to.equal(200)
    await alice.invite(roomId, bob.userId)
    expect(await knock()).to.equal(403)
    await bob.join(roomId)
    expect(await knock()).to.equal(403)
    const unknown = await post(bob, path`/_matrix/client/v3/knock/${'#unknown:hs.test'}`, {})
    expect([unknown.status, unknown.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  it('follow changes of profiles', async () => {
    const roomId = await carol.createRoom()
    const target = path`/_matrix/client/v3/profile/${carol.userId}/displayname`
    await carol.must('PUT', target, { body: { displayname: 'Carol' } })
    await server.server.services.profileUpdates.settle()
    expect(await carol.state(roomId, 'm.room.member', carol.userId)).to.deep.equal({
      membership: 'join',
      displayname: 'Carol',
    })
  })

  it('end with the account', async () => {
    const dave = await server.register('dave')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await dave.join(roomId)
    const auth = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: dave.userId },
      password: PASSWORD,
    }
    await dave.must('POST', '/_matrix/client/v3/account/deactivate', { body: { auth } })
    await server.server.services.accountDeactivation.settle()
    expect(await membership(roomId, dave)).to.equal('leave')
  })

  it('of guests are where rooms allow them', async () => {
    const registered = await server.client().must('POST', '/_matrix/client/v3/register', {
      query: { kind: 'guest' },
      body: {},
    })
    const guest = server.client().withSession({
      userId: registered['user_id'] as string,
      deviceId: registered['device_id'] as string,
      accessToken: registered['access_token'] as string,
    })
    const closed = await alice.createRoom({ preset: 'public_chat' })
    expect((await post(guest, path`/_matrix/client/v3/join/${closed}`, {})).status).to.equal(403)
    const open = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.guest_access', state_key: '', content: { guest_access: 'can_join' } }],
    })
    await guest.join(open)
    await guest.sendText(open, 'hello')
    const invite = await post(guest, path`/_matrix/client/v3/rooms/${open}/invite`, { user_id: bob.userId })
    expect([invite.status, invite.body['errcode']]).to.deep.equal([403, 'M_GUEST_ACCESS_FORBIDDEN'])
    await alice.sendState(open, 'm.room.guest_access', '', { guest_access: 'forbidden' })
    await server.server.services.roomSending.settle()
    expect((await alice.state(open, 'm.room.member', guest.userId))['membership']).to.equal('leave')
  })
})

describe('rooms of those who are thrown out', () => {
  it('are forgotten at once where the configuration says so, once they have learnt of it', async () => {
    await using server = await startHomeserver({ config: { forget_rooms_on_leave: true } })
    const [alice, bob] = [await server.register('alice'), await server.register('bob')]
    const { capabilities } = await bob.must('GET', '/_matrix/client/v3/capabilities')
    expect(capabilities).to.deep.include({ 'm.forget_forced_upon_leave': { enabled: true } })
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const since = await bob.syncToken()
    const last = await alice.sendText(roomId, 'farewell')
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/ban`, { body: { user_id: bob.userId } })
    const told = eventsAt(await bob.sync({ since }), 'rooms', 'leave', roomId, 'timeline', 'events')
    expect(
      told.map((event) => event['event_id'] === last || dig(event, 'content', 'membership')),
    ).to.deep.equal([true, 'ban'])
    expect((await bob.request('GET', path`/_matrix/client/v3/rooms/${roomId}/state`)).status).to.equal(403)
    const filter = JSON.stringify({ room: { include_leave: true } })
    expect(dig(await bob.sync({ filter }), 'rooms', 'leave', roomId)).to.equal(undefined)
  })
})

forEachServerDatabase('automatic joins of new users', (database) => {
  it('begin with registration', async () => {
    await using server = await startHomeserver({ database, config: { auto_join_rooms: ['#hall:hs.test'] } })
    const alice = await server.client().register('alice', PASSWORD)
    const bob = await server.register('bob')
    const { room_id: roomId } = await bob.must(
      'GET',
      path`/_matrix/client/v3/directory/room/${'#hall:hs.test'}`,
    )
    for (const client of [alice, bob]) {
      const { joined_rooms: joined } = await client.must('GET', '/_matrix/client/v3/joined_rooms')
      expect(joined).to.deep.equal([roomId])
    }
  })
})
