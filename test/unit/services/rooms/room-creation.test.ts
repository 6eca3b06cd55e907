import { expect } from 'chai'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'
import type { RoomWish } from '../../../../src/services/rooms/room-creation.js'
import type { RoomAlias } from '../../../../src/protocol/ids.js'

forEachDatabase('room creation', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
  })

  const refused = async (wish: RoomWish, errcode: string, requester = alice): Promise<void> => {
    const error = await rejection(fixture.services.roomCreation.create(requester, wish))
    expect(error).to.have.property('errcode', errcode)
  }

  for (const version of ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12']) {
    it(`makes rooms of version ${version}`, async () => {
      const roomId = await fixture.createRoom(alice, { roomVersion: version, name: 'Cats' })
      const create = await fixture.state(roomId, 'm.room.create')
      expect(create).to.have.property('room_version', version)
      expect(create?.['creator']).to.equal(Number(version) < 11 ? alice.userId : undefined)
      expect(await fixture.state(roomId, 'm.room.name')).to.deep.equal({ name: 'Cats' })
      expect(await fixture.membership(roomId, alice.userId)).to.equal('join')
      const levels = await fixture.state(roomId, 'm.room.power_levels')
      expect(levels?.['users']).to.deep.equal(version === '12' ? {} : { [alice.userId]: 100 })
      expect(levels?.['events']).to.have.property('m.room.tombstone', version === '12' ? 150 : 100)
    })
  }

  it('gives presets their state, and the creator their profile', async () => {
    await fixture.setProfile(alice.userId, { displayName: 'Alice', avatarUrl: 'mxc://hs.test/a' })
    const open = await fixture.createRoom(alice, { visibility: 'public' })
    expect(await fixture.state(open, 'm.room.join_rules')).to.deep.equal({ join_rule: 'public' })
    expect(await fixture.state(open, 'm.room.guest_access')).to.equal(undefined)
    const closed = await fixture.createRoom(alice)
    expect(await fixture.state(closed, 'm.room.join_rules')).to.deep.equal({ join_rule: 'invite' })
    expect(await fixture.state(closed, 'm.room.guest_access')).to.deep.equal({ guest_access: 'can_join' })
    expect(await fixture.state(closed, 'm.room.history_visibility')).to.deep.equal({
      history_visibility: 'shared',
    })
    expect(await fixture.state(closed, 'm.room.member', alice.userId)).to.deep.equal({
      membership: 'join',
      displayname: 'Alice',
      avatar_url: 'mxc://hs.test/a',
    })
  })

  it('lets initial state replace presets, and name and topic replace initial state', async () => {
    const roomId = await fixture.createRoom(alice, {
      preset: 'public_chat',
      topic: 'About cats',
      initialState: [
        { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'invite' } },
        { type: 'm.room.topic', stateKey: '', content: { topic: 'About dogs' } },
        { type: 'org.example.colour', stateKey: 'left', content: { colour: 'red' } },
      ],
    })
    expect(await fixture.state(roomId, 'm.room.join_rules')).to.deep.equal({ join_rule: 'invite' })
    expect(await fixture.state(roomId, 'm.room.topic')).to.deep.equal({
      topic: 'About cats',
      'm.topic': { 'm.text': [{ body: 'About cats' }] },
    })
    expect(await fixture.state(roomId, 'org.example.colour', 'left')).to.deep.equal({ colour: 'red' })
  })

  it('invites in the same go, directly where asked', async () => {
    await fixture.setProfile(bob.userId, { displayName: 'Bob' })
    const roomId = await fixture.createRoom(alice, { invite: [bob.userId, bob.userId], isDirect: true })
    expect(await fixture.state(roomId, 'm.room.member', bob.userId)).to.deep.equal({
      membership: 'invite',
      displayname: 'Bob',
      is_direct: true,
    })
  })

  it('makes invitees of trusted rooms the equals of the creator', async () => {
    const wish = { preset: 'trusted_private_chat', invite: [bob.userId] } as const
    const old = await fixture.createRoom(alice, { ...wish, roomVersion: '11' })
    const levels = await fixture.state(old, 'm.room.power_levels')
    expect(levels?.['users']).to.deep.equal({ [alice.userId]: 100, [bob.userId]: 100 })
    const carol = '@carol:example.org'
    const roomId = await fixture.createRoom(alice, {
      ...wish,
      creationContent: { additional_creators: [carol] },
    })
    const create = await fixture.state(roomId, 'm.room.create')
    expect(create?.['additional_creators']).to.deep.equal([carol, bob.userId])
  })

  it('overrides power levels key by key', async () => {
    const roomId = await fixture.createRoom(alice, {
      preset: 'public_chat',
      powerLevelContentOverride: { events_default: 10, users: { [bob.userId]: 50 } },
    })
    const levels = await fixture.state(roomId, 'm.room.power_levels')
    expect(levels).to.include({ events_default: 10, invite: 50, state_default: 50 })
    expect(levels?.['users']).to.deep.equal({ [bob.userId]: 50 })
  })

  it('refuses state that the rules refuse', async () => {
    const users = { [alice.userId]: 100 }
    await refused({ powerLevelContentOverride: { users } }, 'M_INVALID_ROOM_STATE')
    await refused(
      { roomVersion: '11', name: 'Cats', powerLevelContentOverride: { users: { [alice.userId]: 0 } } },
      'M_INVALID_ROOM_STATE',
    )
    await refused(
      { initialState: [{ type: 'm.room.create', stateKey: '', content: {} }] },
      'M_INVALID_ROOM_STATE',
    )
    await refused({ creationContent: { additional_creators: ['nobody'] } }, 'M_INVALID_ROOM_STATE')
    await refused(
      {
        preset: 'trusted_private_chat',
        invite: [bob.userId],
        creationContent: { additional_creators: 'x' },
      },
      'M_BAD_JSON',
    )
    await refused({ creationContent: { type: 'a\u0000' } }, 'M_BAD_JSON')
    await refused({ roomVersion: 'cat' }, 'M_UNSUPPORTED_ROOM_VERSION')
    await refused({ invite: ['bob'] }, 'M_INVALID_PARAM')
    await refused({ invite: ['@bob:example.org'] }, 'M_FORBIDDEN')
    const access = { server: 'no name', accessToken: 'x' }
    await refused({ identifiers: [{ medium: 'email', address: 'a@b.test', access }] }, 'M_INVALID_PARAM')
    await refused({}, 'M_USER_SUSPENDED', { ...alice, isSuspended: true })
  })

  it('takes any text that is only content', async () => {
    const roomId = await fixture.createRoom(alice, { name: 'Cats\u0000', topic: '\u0000' })
    expect(await fixture.state(roomId, 'm.room.name')).to.deep.equal({ name: 'Cats\u0000' })
  })

  it('makes an alias with the room, which nobody else can have', async () => {
    const roomId = await fixture.createRoom(alice, { roomAliasName: 'cats' })
    const alias = '#cats:hs.test' as RoomAlias
    expect(await fixture.state(roomId, 'm.room.canonical_alias')).to.deep.equal({ alias })
    expect(await fixture.services.aliases.resolve(alias)).to.deep.equal({ roomId, servers: ['hs.test'] })
    await refused({ roomAliasName: 'cats' }, 'M_ROOM_IN_USE')
    await refused({ roomAliasName: '#dogs:hs.test' }, 'M_INVALID_PARAM')
    await refused({ roomAliasName: 'two words' }, 'M_INVALID_PARAM')
    await refused({ roomAliasName: 'x'.repeat(300) }, 'M_INVALID_PARAM')
    const stolen = { type: 'm.room.canonical_alias', stateKey: '', content: { alias } }
    await refused({ initialState: [stolen] }, 'M_BAD_ALIAS')
  })

  it('gives an alias to one of two rooms that are made at once', async () => {
    const both = await Promise.allSettled([
      fixture.createRoom(alice, { roomAliasName: 'cats' }),
      fixture.createRoom(bob, { roomAliasName: 'cats' }),
    ])
    expect(both.map((one) => one.status).sort()).to.deep.equal(['fulfilled', 'rejected'])
    const failed = both.find((one) => one.status === 'rejected')
    expect(failed?.reason).to.have.property('errcode', 'M_ROOM_IN_USE')
  })

  it('leaves out the invitations of the shadow-banned', async () => {
    const roomId = await fixture.createRoom({ ...alice, isShadowBanned: true }, { invite: [bob.userId] })
    expect(await fixture.membership(roomId, bob.userId)).to.equal(undefined)
  })

  it('asks whether the invited take invitations', async () => {
    const entry = {
      roomId: undefined,
      type: 'm.invite_permission_config',
      content: { default_action: 'block' },
    }
    await fixture.db.write('test', (tx) => fixture.stores.accountData.put(tx, bob.userId, entry, 1))
    await refused({ invite: [bob.userId] }, 'M_INVITE_BLOCKED')
  })
})

forEachDatabase('room creation by configuration', (open) => {
  it('encrypts, sets power levels, publishes only where rules allow', async () => {
    const fixture = await createRoomFixture(await open(), {
      creation: {
        encryptedPresets: new Set(['private_chat']),
        presetPowerLevels: { private_chat: { invite: 75 } },
        defaultRoomVersion: '10',
      },
      publicationRules: [{ userId: '@alice:*', alias: '#cats*', roomId: '*', action: 'allow' }],
      invitations: { onlyAdminsInvite: true },
    })
    const alice = await fixture.user('alice')
    const roomId = await fixture.createRoom(alice)
    expect(await fixture.state(roomId, 'm.room.encryption')).to.deep.equal({
      algorithm: 'm.megolm.v1.aes-sha2',
    })
    expect(await fixture.state(roomId, 'm.room.power_levels')).to.have.property('invite', 75)
    expect(await fixture.state(roomId, 'm.room.create')).to.have.property('room_version', '10')
    const named = await fixture.createRoom(alice, { visibility: 'public', roomAliasName: 'cats1' })
    const nameless = await fixture.createRoom(alice, { visibility: 'public' })
    const { publicRooms } = fixture.services
    expect(await publicRooms.getVisibility(named)).to.equal('public')
    expect(await publicRooms.getVisibility(nameless)).to.equal('private')
    const error = await rejection(fixture.createRoom(alice, { invite: ['@bob:hs.test'] }))
    expect(error).to.have.property('errcode', 'M_FORBIDDEN')
  })
})
