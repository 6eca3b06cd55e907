import { expect } from 'chai'
import {
  ClientError,
  dig,
  eventsAt,
  path,
  syncInvitedTo,
  syncJoinedTo,
  syncLeftFrom,
  syncTimelineHas,
  type MatrixClient,
} from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'
import { startFederation, type TestFederation } from '../../support/federation.js'

async function membership(client: MatrixClient, roomId: string, userId: string): Promise<unknown> {
  return dig(await client.state(roomId, 'm.room.member', userId), 'membership')
}

/** Waits until the room's state says so. */
async function until(
  client: MatrixClient,
  { roomId, userId, is }: { roomId: string; userId: string; is: string },
): Promise<void> {
  if ((await membership(client, roomId, userId).catch(() => undefined)) === is) return
  await client.mustSyncUntil(
    syncTimelineHas(
      roomId,
      (event) => event['state_key'] === userId && dig(event, 'content', 'membership') === is,
    ),
  )
}

async function statusOf(action: Promise<unknown>): Promise<{ status: number; errcode: string | undefined }> {
  try {
    await action
    return { status: 200, errcode: undefined }
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
    return { status: error.status, errcode: error.errcode }
  }
}

function knock(client: MatrixClient, roomId: string, via: string): Promise<JsonObject> {
  return client.must('POST', path`/_matrix/client/v3/knock/${roomId}`, {
    query: { via },
    body: { reason: 'please' },
  })
}

function syncKnockedOn(roomId: string) {
  return (response: JsonObject): boolean => dig(response, 'rooms', 'knock', roomId) !== undefined
}

describe('memberships between servers', function () {
  this.timeout(40_000)
  let servers: TestFederation
  let alice: MatrixClient
  let anna: MatrixClient
  let bob: MatrixClient
  let ben: MatrixClient
  let carol: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test', 'b.test', 'c.test'])
    const [a, b, c] = servers.list
    ;[alice, anna, bob, ben, carol] = await Promise.all([
      a!.register('alice'),
      a!.register('anna'),
      b!.register('bob'),
      b!.register('ben'),
      c!.register('carol'),
    ])
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  it('passes joins on to the others in the room, and what is said after them', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId, { via: ['a.test'] })
    await carol.join(roomId, { via: ['a.test'] })
    await until(bob, { roomId, userId: carol.userId, is: 'join' })
    await carol.sendText(roomId, 'hello')
    const hello = syncTimelineHas(roomId, (event) => dig(event, 'content', 'body') === 'hello')
    await Promise.all([alice.mustSyncUntil(hello), bob.mustSyncUntil(hello)])
  })

  it('joins by an alias of another server, and through a server that is not named by the room', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'cats' })
    expect(await bob.join('#cats:a.test')).to.equal(roomId)
    expect(await carol.join(roomId, { via: ['nowhere.test', 'b.test'] })).to.equal(roomId)
  })

  it('makes a room though the server of somebody invited cannot be reached', async () => {
    const roomId = await alice.createRoom({ preset: 'private_chat', invite: ['@x:nowhere.test', bob.userId] })
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    expect(await statusOf(alice.state(roomId, 'm.room.member', '@x:nowhere.test'))).to.include({
      status: 404,
    })
  })

  it('lets a second user in without asking anybody, and rejoins when all have left', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '10' })
    await bob.join(roomId, { via: ['a.test'] })
    await ben.join(roomId)
    await until(alice, { roomId, userId: ben.userId, is: 'join' })
    await bob.leave(roomId)
    await ben.leave(roomId)
    await until(alice, { roomId, userId: ben.userId, is: 'leave' })
    await alice.sendState(roomId, 'm.room.name', '', { name: 'missed' })
    expect(await statusOf(bob.join(roomId, { via: ['nobody.test'] }))).to.deep.include({ status: 502 })
    await bob.join(roomId)
    expect(await bob.state(roomId, 'm.room.name')).to.deep.equal({ name: 'missed' })
    await until(alice, { roomId, userId: bob.userId, is: 'join' })
    await alice.sendText(roomId, 'again')
    await bob.mustSyncUntil(syncTimelineHas(roomId, (event) => dig(event, 'content', 'body') === 'again'))
  })

  it('tells the invited that their invitation is taken back, by who has sent it only', async () => {
    const roomId = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    const since = await bob.mustSyncUntil(syncInvitedTo(roomId))
    await alice.kick(roomId, bob.userId)
    await bob.mustSyncUntil(syncLeftFrom(roomId), { since })
  })

  it('declines an invitation to a room whose server is gone, or in which nobody is any more', async () => {
    const roomId = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId, ben.userId] })
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    await alice.leave(roomId)
    const since = await bob.syncToken()
    await bob.leave(roomId)
    await bob.mustSyncUntil(syncLeftFrom(roomId), { since })
    await bob.forget(roomId)
    await servers.cut('a.test', 'b.test')
    await ben.leave(roomId)
    await servers.heal('a.test', 'b.test')
  })

  it('has invitations of users who are in the room passed on to the others', async () => {
    const roomId = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    await bob.join(roomId)
    await alice.invite(roomId, ben.userId)
    await ben.mustSyncUntil(syncInvitedTo(roomId))
    await until(bob, { roomId, userId: ben.userId, is: 'invite' })
    await ben.leave(roomId)
    await until(alice, { roomId, userId: ben.userId, is: 'leave' })
  })

  it('knocks, is let in, and is turned away', async () => {
    const roomId = await alice.createRoom({
      preset: 'private_chat',
      room_version: '7',
      initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'invite' } }],
    })
    expect(await statusOf(knock(bob, roomId, 'a.test'))).to.deep.equal({
      status: 403,
      errcode: 'M_FORBIDDEN',
    })
    await alice.sendState(roomId, 'm.room.join_rules', '', { join_rule: 'knock' })
    expect(await statusOf(bob.join(roomId, { via: ['a.test'] }))).to.deep.include({ status: 403 })
    await knock(bob, roomId, 'a.test')
    await bob.mustSyncUntil(syncKnockedOn(roomId))
    expect(await membership(alice, roomId, bob.userId)).to.equal('knock')
    await knock(bob, roomId, 'a.test')
    const since = await bob.syncToken()
    await alice.kick(roomId, bob.userId)
    await bob.mustSyncUntil(syncLeftFrom(roomId), { since })
    await knock(bob, roomId, 'a.test')
    await alice.invite(roomId, bob.userId)
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    expect(await statusOf(knock(bob, roomId, 'a.test'))).to.deep.include({ status: 403 })
    await bob.join(roomId, { via: ['a.test'] })
    expect(await statusOf(knock(bob, roomId, 'a.test'))).to.deep.include({ status: 403 })
    await alice.ban(roomId, bob.userId)
    await until(alice, { roomId, userId: bob.userId, is: 'ban' })
    expect(await statusOf(knock(bob, roomId, 'a.test'))).to.deep.include({ status: 403 })
  })

  it('lets people into restricted rooms in the name of a member', async () => {
    const space = await alice.createRoom({ preset: 'public_chat' })
    const allow = [{ type: 'm.room_membership', room_id: space, via: ['a.test'] }]
    const roomId = await alice.createRoom({
      preset: 'public_chat',
      room_version: '10',
      initial_state: [
        { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow } },
      ],
    })
    expect(await statusOf(bob.join(roomId, { via: ['a.test'] }))).to.deep.include({ status: 403 })
    await bob.join(space, { via: ['a.test'] })
    await bob.join(roomId, { via: ['a.test'] })
    const member = await bob.state(roomId, 'm.room.member', bob.userId)
    expect(member['join_authorised_via_users_server']).to.equal(alice.userId)
    await bob.sendState(roomId, 'm.room.member', bob.userId, { membership: 'join', displayname: 'Bobby' })
    await bob.leave(roomId)
    await bob.leave(space)
    await until(alice, { roomId: space, userId: bob.userId, is: 'leave' })
    expect(await statusOf(bob.join(roomId, { via: ['a.test'] }))).to.deep.include({ status: 403 })
  })

  it('has another server let people in where nobody here may', async () => {
    const space = await alice.createRoom({ preset: 'public_chat' })
    const allow = [{ type: 'm.room_membership', room_id: space, via: ['a.test'] }]
    const roomId = await alice.createRoom({
      preset: 'public_chat',
      room_version: '8',
      power_level_content_override: { invite: 100 },
      initial_state: [
        { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow } },
      ],
      invite: [bob.userId],
    })
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    await bob.join(roomId)
    expect(await statusOf(ben.join(roomId))).to.deep.include({ status: 403 })
    await ben.join(space, { via: ['a.test'] })
    await ben.join(roomId, { via: ['b.test'] })
    await until(alice, { roomId, userId: ben.userId, is: 'join' })
    // The server in the middle is in the room, but has nobody who may invite.
    await carol.join(space, { via: ['a.test'] })
    expect((await statusOf(carol.join(roomId, { via: ['b.test'] }))).errcode).to.equal(
      'M_UNABLE_TO_GRANT_JOIN',
    )
    await carol.join(roomId, { via: ['b.test', 'a.test'] })
    const member = await carol.state(roomId, 'm.room.member', carol.userId)
    expect(member['join_authorised_via_users_server']).to.equal(alice.userId)
  })

  it('unbans by inviting', async () => {
    const roomId = await bob.createRoom({ preset: 'public_chat' })
    await alice.join(roomId, { via: ['b.test'] })
    await bob.ban(roomId, alice.userId)
    await alice.mustSyncUntil(syncLeftFrom(roomId))
    await bob.unban(roomId, alice.userId)
    await bob.invite(roomId, alice.userId)
    await alice.mustSyncUntil(syncInvitedTo(roomId))
    await alice.join(roomId, { via: ['b.test'] })
    await bob.mustSyncUntil(syncJoinedTo(roomId, alice.userId))
  })

  it('says what is wrong with a room that cannot be joined', async () => {
    const closed = await alice.createRoom({ preset: 'private_chat' })
    expect(await statusOf(bob.join(closed, { via: ['a.test'] }))).to.deep.equal({
      status: 403,
      errcode: 'M_FORBIDDEN',
    })
    expect(await statusOf(bob.join('!nothing:a.test'))).to.deep.equal({ status: 404, errcode: 'M_NOT_FOUND' })
    expect(await statusOf(bob.join('!nothing:nowhere.test'))).to.deep.include({ status: 502 })
    expect(await statusOf(bob.join(`!${'a'.repeat(43)}`))).to.deep.equal({
      status: 404,
      errcode: 'M_NOT_FOUND',
    })
  })

  it('keeps what the invitation said for those who join', async () => {
    const roomId = await anna.createRoom({ preset: 'private_chat', is_direct: true, invite: [bob.userId] })
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    await bob.join(roomId)
    const joins: JsonObject[] = []
    await bob.mustSyncUntil((response) => {
      joins.push(
        ...eventsAt(response, 'rooms', 'join', roomId, 'timeline', 'events').filter(
          (event) => event['state_key'] === bob.userId && dig(event, 'content', 'membership') === 'join',
        ),
      )
      return joins.length > 0
    })
    expect(dig(joins[0], 'unsigned', 'prev_content', 'membership')).to.equal('invite')
    expect(dig(joins[0], 'unsigned', 'prev_content', 'is_direct')).to.equal(true)
  })

  it('leads the aliases of other servers to the room that replaces another', async () => {
    const old = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    await bob.join(old, { via: ['a.test'] })
    const alias = '#replaced:b.test'
    await bob.must('PUT', path`/_matrix/client/v3/directory/room/${alias}`, { body: { room_id: old } })
    const tag = path`/_matrix/client/v3/user/${bob.userId}/rooms/${old}/tags/u.work`
    await bob.must('PUT', tag, { body: {} })
    const { replacement_room: next } = await alice.must(
      'POST',
      path`/_matrix/client/v3/rooms/${old}/upgrade`,
      {
        body: { new_version: '11' },
      },
    )
    await bob.join(next as string, { via: ['a.test'] })
    // What this server has of the old room follows before the settings of who has come.
    await bob.mustSyncUntil((response) =>
      eventsAt(response, 'rooms', 'join', next as string, 'account_data', 'events').some(
        ({ type }) => type === 'm.tag',
      ),
    )
    const { room_id: roomId } = await bob.must('GET', path`/_matrix/client/v3/directory/room/${alias}`)
    expect(roomId).to.equal(next)
  })
})
