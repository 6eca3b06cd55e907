import { expect } from 'chai'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'

const NO_REASON = { reason: undefined }

forEachDatabase('room membership', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester
  let carol: Requester
  let openRoom: RoomId
  let closedRoom: RoomId

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
    carol = await fixture.user('carol')
    openRoom = await fixture.createRoom(alice, { preset: 'public_chat' })
    closedRoom = await fixture.createRoom(alice)
  })

  const members = () => fixture.services.roomMembership
  const refused = async (attempt: Promise<unknown>, errcode: string, status?: number): Promise<void> => {
    const error = await rejection(attempt)
    expect(error).to.have.property('errcode', errcode)
    if (status !== undefined) expect(error).to.have.property('status', status)
  }
  const invite = (roomId: RoomId, userId: UserId, by = alice): Promise<void> =>
    members().invite(by, roomId, { userId, reason: undefined })

  it('joins open rooms with the profile and what the client says', async () => {
    await fixture.setProfile(bob.userId, { displayName: 'Bob' })
    const content = {
      foo: 'bar',
      reason: 'hi',
      membership: 'ban',
      join_authorised_via_users_server: '@x:y',
      third_party_invite: {},
    }
    await members().join(bob, openRoom, { content })
    expect(await fixture.state(openRoom, 'm.room.member', bob.userId)).to.deep.equal({
      membership: 'join',
      displayname: 'Bob',
      foo: 'bar',
      reason: 'hi',
    })
  })

  it('joins once, however often one asks, and keeps a name of the room', async () => {
    const first = await members().join(bob, openRoom, { content: { displayname: 'Bobby' } })
    expect(await members().join(bob, openRoom)).to.equal(first)
    const again = await members().join(bob, openRoom, { content: { displayname: 'Bobby' } })
    expect(again).to.equal(first)
    expect(await fixture.state(openRoom, 'm.room.member', bob.userId)).to.include({ displayname: 'Bobby' })
  })

  it('refuses the uninvited, the banned, unknown rooms and rooms that all have left', async () => {
    await refused(members().join(bob, closedRoom), 'M_FORBIDDEN', 403)
    await members().ban(alice, openRoom, { userId: bob.userId, reason: 'no' })
    await refused(members().join(bob, openRoom), 'M_FORBIDDEN', 403)
    await refused(members().join(bob, '!unknown:hs.test' as RoomId), 'M_NOT_FOUND', 404)
    await members().leave(alice, openRoom, undefined)
    await refused(members().join(carol, openRoom), 'M_NOT_FOUND', 404)
  })

  it('finds rooms by alias', async () => {
    const roomId = await fixture.createRoom(alice, { preset: 'public_chat', roomAliasName: 'cats' })
    expect(await members().findRoom('#cats:hs.test')).to.include({ roomId })
    expect(await members().findRoom(roomId)).to.include({ roomId })
    await refused(members().findRoom('#dogs:hs.test'), 'M_NOT_FOUND')
    await refused(members().findRoom('#cats:example.org'), 'M_NOT_FOUND')
    await refused(members().findRoom('cats'), 'M_INVALID_PARAM')
  })

  it('invites, and lets invitations be accepted and declined', async () => {
    await invite(closedRoom, bob.userId)
    await invite(closedRoom, carol.userId)
    expect(await fixture.membership(closedRoom, bob.userId)).to.equal('invite')
    await members().join(bob, closedRoom)
    await members().leave(carol, closedRoom, 'no thanks')
    expect(await fixture.state(closedRoom, 'm.room.member', carol.userId)).to.deep.equal({
      membership: 'leave',
      reason: 'no thanks',
    })
    await refused(invite(closedRoom, bob.userId), 'M_FORBIDDEN', 403)
    await refused(invite(closedRoom, alice.userId), 'M_FORBIDDEN', 403)
    await refused(invite(closedRoom, bob.userId, carol), 'M_FORBIDDEN', 403)
    await refused(invite(closedRoom, '@dave:example.org' as UserId), 'M_FORBIDDEN', 403)
    await refused(invite(closedRoom, 'dave' as UserId), 'M_INVALID_PARAM', 400)
  })

  it('lets people decline invitations to rooms that all have left', async () => {
    await invite(closedRoom, bob.userId)
    await members().leave(alice, closedRoom, undefined)
    await members().leave(bob, closedRoom, undefined)
    expect(await fixture.membership(closedRoom, bob.userId)).to.equal('leave')
  })

  it('does not let strangers leave', async () => {
    await refused(members().leave(bob, closedRoom, undefined), 'M_FORBIDDEN')
    await refused(members().leave(bob, '!unknown:hs.test' as RoomId, undefined), 'M_NOT_FOUND')
  })

  it('kicks who is there', async () => {
    const target = { userId: bob.userId, reason: 'spam' }
    await refused(members().kick(alice, openRoom, target), 'M_FORBIDDEN', 403)
    await members().join(bob, openRoom)
    await refused(members().kick(bob, openRoom, { userId: alice.userId, ...NO_REASON }), 'M_FORBIDDEN', 403)
    await members().kick(alice, openRoom, target)
    expect(await fixture.state(openRoom, 'm.room.member', bob.userId)).to.deep.equal({
      membership: 'leave',
      reason: 'spam',
    })
    await refused(members().kick(alice, openRoom, target), 'M_FORBIDDEN', 403)
  })

  it('bans and lifts bans', async () => {
    const target = { userId: bob.userId, ...NO_REASON }
    await refused(members().unban(alice, openRoom, target), 'M_BAD_STATE', 403)
    await members().ban(alice, openRoom, target)
    await refused(invite(openRoom, bob.userId), 'M_BAD_STATE', 403)
    await refused(members().kick(alice, openRoom, target), 'M_FORBIDDEN', 403)
    await refused(members().unban(carol, openRoom, target), 'M_FORBIDDEN', 403)
    await members().unban(alice, openRoom, target)
    await members().join(bob, openRoom)
    expect(await fixture.membership(openRoom, bob.userId)).to.equal('join')
  })

  it('knocks where rooms allow it', async () => {
    await refused(members().knock(bob, closedRoom, 'please'), 'M_FORBIDDEN', 403)
    const knockRoom = await fixture.createRoom(alice, {
      initialState: [{ type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'knock' } }],
    })
    await fixture.setProfile(bob.userId, { displayName: 'Bob' })
    await members().knock(bob, knockRoom, 'please')
    expect(await fixture.state(knockRoom, 'm.room.member', bob.userId)).to.deep.equal({
      membership: 'knock',
      displayname: 'Bob',
      reason: 'please',
    })
    await members().knock(bob, knockRoom, 'pretty please')
    await refused(members().join(bob, knockRoom), 'M_FORBIDDEN')
    await invite(knockRoom, bob.userId)
    await refused(members().knock(bob, knockRoom, undefined), 'M_FORBIDDEN')
    await members().join(bob, knockRoom)
    await refused(members().knock(bob, knockRoom, undefined), 'M_FORBIDDEN')
  })

  it('forgets rooms that were left', async () => {
    await members().join(bob, openRoom)
    await refused(members().forget(bob, openRoom), 'M_UNKNOWN', 400)
    await members().leave(bob, openRoom, undefined)
    await members().forget(bob, openRoom)
    expect((await fixture.roomState.getMembership(openRoom, bob.userId))?.forgotten).to.equal(true)
    await members().join(bob, openRoom)
    expect((await fixture.roomState.getMembership(openRoom, bob.userId))?.forgotten).to.equal(false)
    await refused(members().forget(bob, '!unknown:hs.test' as RoomId), 'M_NOT_FOUND', 404)
  })

  it('lists the rooms that one is in', async () => {
    await members().join(bob, openRoom)
    await invite(closedRoom, bob.userId)
    expect(await members().listJoined(bob.userId)).to.deep.equal([openRoom])
    expect(await members().listJoined(carol.userId)).to.deep.equal([])
  })

  it('holds back suspended users', async () => {
    const suspended = { ...bob, isSuspended: true }
    await refused(members().join(suspended, openRoom), 'M_USER_SUSPENDED')
    await refused(members().knock(suspended, openRoom, undefined), 'M_USER_SUSPENDED')
    await members().join(bob, openRoom)
    await refused(invite(openRoom, carol.userId, suspended), 'M_USER_SUSPENDED')
    const other = { userId: carol.userId, ...NO_REASON }
    await refused(members().kick(suspended, openRoom, other), 'M_USER_SUSPENDED')
    await refused(members().ban(suspended, openRoom, other), 'M_USER_SUSPENDED')
    await refused(members().unban(suspended, openRoom, other), 'M_USER_SUSPENDED')
    await members().leave(suspended, openRoom, undefined)
    expect(await fixture.membership(openRoom, bob.userId)).to.equal('leave')
  })

  it('lets guests in only where rooms allow it, and do little', async () => {
    const guest = await fixture.user('guest', { isGuest: true })
    await refused(members().join(guest, openRoom), 'M_FORBIDDEN', 403)
    const guestRoom = await fixture.createRoom(alice, {
      preset: 'public_chat',
      initialState: [{ type: 'm.room.guest_access', stateKey: '', content: { guest_access: 'can_join' } }],
    })
    await members().join(guest, guestRoom)
    await refused(invite(guestRoom, bob.userId, guest), 'M_GUEST_ACCESS_FORBIDDEN')
    await fixture.services.roomSending.setState(alice, {
      roomId: guestRoom,
      type: 'm.room.guest_access',
      stateKey: '',
      content: { guest_access: 'forbidden' },
    })
    await fixture.services.roomSending.settle()
    expect(await fixture.membership(guestRoom, guest.userId)).to.equal('leave')
    expect(await fixture.membership(guestRoom, alice.userId)).to.equal('join')
  })

  it('pretends to the shadow-banned that they invite', async () => {
    await members().join(bob, openRoom)
    await invite(openRoom, carol.userId, { ...alice, isShadowBanned: true })
    expect(await fixture.membership(openRoom, carol.userId)).to.equal(undefined)
  })

  it('sets memberships as state', async () => {
    const set = (content: { membership: string }, userId = bob.userId, by = alice) =>
      members().setMembership(by, openRoom, { userId, content })
    await set({ membership: 'invite' })
    await set({ membership: 'join' }, bob.userId, bob)
    await set({ membership: 'leave' })
    await set({ membership: 'ban' })
    await set({ membership: 'leave' })
    expect(await fixture.membership(openRoom, bob.userId)).to.equal('leave')
    await refused(set({ membership: 'join' }), 'M_FORBIDDEN')
    await refused(set({ membership: 'cat' }), 'M_INVALID_PARAM')
    await refused(set({ membership: 'join' }, 'bob' as UserId), 'M_INVALID_PARAM')
  })

  it('lets nobody join in the name of others for a third-party invite without proof', async () => {
    const signed = { mxid: bob.userId, sender: alice.userId, token: 'abc', signatures: {} }
    await refused(members().join(bob, closedRoom, { thirdPartySigned: signed }), 'M_FORBIDDEN')
    await fixture.sender.send(alice, {
      roomId: closedRoom,
      type: 'm.room.third_party_invite',
      stateKey: 'abc',
      content: { display_name: 'b...', public_key: 'AAAA' },
    })
    await refused(members().join(bob, closedRoom, { thirdPartySigned: signed }), 'M_FORBIDDEN')
    expect(await fixture.membership(closedRoom, bob.userId)).to.equal(undefined)
  })
})

forEachDatabase('restricted rooms', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester
  let space: RoomId

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
    space = await fixture.createRoom(alice, { preset: 'public_chat' })
  })

  const restricted = (version: string, joinRule: string, allow: readonly unknown[]): Promise<RoomId> =>
    fixture.createRoom(alice, {
      roomVersion: version,
      initialState: [
        {
          type: 'm.room.join_rules',
          stateKey: '',
          content: { join_rule: joinRule, allow: allow as never },
        },
      ],
    })
  const inSpace = () => [{ type: 'm.room_membership', room_id: space }]
  const join = (roomId: RoomId): Promise<unknown> => fixture.services.roomMembership.join(bob, roomId)

  for (const [version, joinRule] of [
    ['8', 'restricted'],
    ['11', 'knock_restricted'],
    ['12', 'restricted'],
  ] as const) {
    it(`let in who is in another room (${joinRule}, version ${version})`, async () => {
      const roomId = await restricted(version, joinRule, inSpace())
      expect(await rejection(join(roomId))).to.have.property('errcode', 'M_FORBIDDEN')
      await join(space)
      await join(roomId)
      expect(await fixture.state(roomId, 'm.room.member', bob.userId)).to.deep.equal({
        membership: 'join',
        join_authorised_via_users_server: alice.userId,
      })
      await fixture.services.roomMembership.leave(bob, space, undefined)
      await fixture.services.roomMembership.leave(bob, roomId, undefined)
      expect(await rejection(join(roomId))).to.have.property('errcode', 'M_FORBIDDEN')
      await fixture.services.roomMembership.invite(alice, roomId, { userId: bob.userId, reason: undefined })
      await join(roomId)
      expect(await fixture.state(roomId, 'm.room.member', bob.userId)).to.deep.equal({ membership: 'join' })
    })
  }

  it('take no notice of conditions that are none', async () => {
    await join(space)
    for (const allow of [['invalid'], 'invalid', [{ type: 'org.example', room_id: space }], [{}]]) {
      const roomId = await restricted('10', 'restricted', allow as never)
      expect(await rejection(join(roomId)), JSON.stringify(allow)).to.have.property('errcode', 'M_FORBIDDEN')
    }
  })

  it('need somebody who may invite', async () => {
    const roomId = await restricted('10', 'restricted', inSpace())
    await join(space)
    const carol = await fixture.user('carol')
    await fixture.services.roomMembership.invite(alice, roomId, { userId: carol.userId, reason: undefined })
    await fixture.services.roomMembership.join(carol, roomId)
    await fixture.services.roomSending.setState(alice, {
      roomId,
      type: 'm.room.power_levels',
      stateKey: '',
      content: { users: { [alice.userId]: 100 }, invite: 50 },
    })
    await fixture.services.roomMembership.leave(alice, roomId, undefined)
    expect(await rejection(join(roomId))).to.have.property('errcode', 'M_FORBIDDEN')
  })
})

forEachDatabase('membership by configuration', (open) => {
  it('forgets rooms on leaving, uses the profile of the account, limits joins', async () => {
    const fixture = await createRoomFixture(await open(), {
      membership: { perRoomProfiles: false },
      forgetsRoomsOnLeave: true,
      limits: { joinsLocal: { perSecond: 0.1, burstCount: 2 } },
    })
    const alice = await fixture.user('alice')
    const bob = await fixture.user('bob')
    await fixture.setProfile(bob.userId, { displayName: 'Bob' })
    const roomId = await fixture.createRoom(alice, { preset: 'public_chat' })
    const { roomMembership } = fixture.services
    await roomMembership.join(bob, roomId, { content: { displayname: 'Somebody' } })
    expect(await fixture.state(roomId, 'm.room.member', bob.userId)).to.include({ displayname: 'Bob' })
    await roomMembership.leave(bob, roomId, undefined)
    expect((await fixture.roomState.getMembership(roomId, bob.userId))?.forgotten).to.equal(true)
    await roomMembership.join(bob, roomId)
    await roomMembership.kick(alice, roomId, { userId: bob.userId, reason: undefined })
    expect((await fixture.roomState.getMembership(roomId, bob.userId))?.forgotten).to.equal(true)
    const error = await rejection(roomMembership.join(bob, roomId))
    expect(error).to.have.property('errcode', 'M_LIMIT_EXCEEDED')
    expect(await fixture.membership(roomId, bob.userId)).to.equal('leave')
  })
})
