import { expect } from 'chai'
import type { RoomAlias, RoomId } from '../../../../src/protocol/ids.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import type { UpgradeInput } from '../../../../src/services/rooms/room-upgrades.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'

forEachDatabase('room upgrades', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester
  let carol: Requester

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
    carol = await fixture.user('carol')
  })

  const upgrade = (
    roomId: RoomId,
    newVersion: string,
    { by = alice, additionalCreators = [] }: { by?: Requester } & Partial<UpgradeInput> = {},
  ) => fixture.services.roomUpgrades.upgrade(by, roomId, { newVersion, additionalCreators })
  const setState = (roomId: RoomId, type: string, content: JsonObject) =>
    fixture.services.roomSending.setState(alice, { roomId, type, stateKey: '', content })
  const levelsOf = async (roomId: RoomId) => (await fixture.state(roomId, 'm.room.power_levels'))!

  it('move state, aliases, publication and bans, and close the old room', async () => {
    const old = await fixture.createRoom(alice, {
      roomVersion: '10',
      visibility: 'public',
      roomAliasName: 'cats',
      name: 'Cats',
      topic: 'About cats',
      creationContent: { type: 'org.example.type', 'm.federate': false },
      initialState: [
        { type: 'm.room.avatar', stateKey: '', content: { url: 'mxc://hs.test/a' } },
        { type: 'm.room.encryption', stateKey: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
        { type: 'org.example.own', stateKey: '', content: { secret: true } },
      ],
    })
    const alias = '#cats:hs.test' as RoomAlias
    await fixture.services.roomMembership.join(bob, old)
    await fixture.services.roomMembership.ban(alice, old, { userId: carol.userId, reason: 'spam' })
    const next = await upgrade(old, '11')

    expect(await fixture.state(old, 'm.room.tombstone')).to.deep.equal({
      body: 'This room has been replaced',
      replacement_room: next,
    })
    expect(await levelsOf(old)).to.include({ events_default: 50, invite: 50 })
    expect(await fixture.state(old, 'm.room.canonical_alias')).to.deep.equal({})

    const create = (await fixture.state(next, 'm.room.create'))!
    expect(create).to.include({ room_version: '11', type: 'org.example.type', 'm.federate': false })
    expect(create['predecessor']).to.have.property('room_id', old)
    for (const type of [
      'm.room.name',
      'm.room.topic',
      'm.room.avatar',
      'm.room.encryption',
      'm.room.join_rules',
    ]) {
      expect(await fixture.state(next, type), type).to.deep.equal(await fixture.state(old, type))
    }
    expect(await fixture.state(next, 'org.example.own')).to.equal(undefined)
    expect(await fixture.state(next, 'm.room.canonical_alias')).to.deep.equal({ alias })
    expect(await fixture.membership(next, alice.userId)).to.equal('join')
    expect(await fixture.membership(next, bob.userId)).to.equal(undefined)
    expect(await fixture.state(next, 'm.room.member', carol.userId)).to.deep.equal({
      membership: 'ban',
      reason: 'spam',
    })
    expect((await fixture.services.aliases.resolve(alias)).roomId).to.equal(next)
    const { publicRooms } = fixture.services
    expect(await publicRooms.getVisibility(old)).to.equal('private')
    expect(await publicRooms.getVisibility(next)).to.equal('public')
    const listed = await publicRooms.list(alice, {
      server: undefined,
      limit: undefined,
      since: undefined,
      searchTerm: 'cats',
      roomTypes: undefined,
    })
    expect((listed['chunk'] as JsonObject[]).map((room) => room['room_id'])).to.deep.equal([next])
  })

  for (const [from, to] of [
    ['1', '12'],
    ['9', '10'],
    ['11', '12'],
    ['12', '12'],
    ['12', '11'],
    ['12', '6'],
  ] as const) {
    it(`lead from version ${from} to ${to}`, async () => {
      const old = await fixture.createRoom(alice, { roomVersion: from, name: 'Cats' })
      const next = await upgrade(old, to)
      const create = await fixture.state(next, 'm.room.create')
      expect(create).to.have.property('room_version', to)
      const tombstone = await fixture.roomState.getStateEvent(old, 'm.room.tombstone', '')
      expect(create!['predecessor']).to.deep.equal({
        room_id: old,
        // The room ID of version 12 is a hash over what stands here.
        ...(to !== '12' && { event_id: tombstone!.event.eventId }),
      })
      expect(await fixture.state(next, 'm.room.name')).to.deep.equal({ name: 'Cats' })
      const levels = await levelsOf(next)
      expect(levels['users']).to.deep.equal(to === '12' ? {} : { [alice.userId]: 100 })
      expect((levels['events'] as JsonObject)['m.room.tombstone']).to.equal(
        to === '12' || from === '12' ? 150 : 100,
      )
    })
  }

  it('let guests in where the old room did, and say so where it did not', async () => {
    const open = await fixture.createRoom(alice, { preset: 'private_chat' })
    const closed = await fixture.createRoom(alice, { preset: 'public_chat' })
    expect(await fixture.state(closed, 'm.room.guest_access')).to.equal(undefined)
    for (const [old, access] of [
      [open, 'can_join'],
      [closed, 'forbidden'],
    ] as const) {
      const next = await upgrade(old, '11')
      expect(await fixture.state(next, 'm.room.guest_access')).to.deep.equal({ guest_access: access })
    }
  })

  it('leave creators out of power levels, and others in', async () => {
    const old = await fixture.createRoom(alice, { roomVersion: '11', preset: 'public_chat' })
    for (const user of [bob, carol]) await fixture.services.roomMembership.join(user, old)
    const users = { [alice.userId]: 100, [bob.userId]: 100, [carol.userId]: 50 }
    await setState(old, 'm.room.power_levels', { users })
    const next = await upgrade(old, '12', { additionalCreators: [bob.userId] })
    expect(await fixture.state(next, 'm.room.create')).to.deep.include({ additional_creators: [bob.userId] })
    expect((await levelsOf(next))['users']).to.deep.equal({ [carol.userId]: 50 })
    const again = await upgrade(next, '12', { by: alice, additionalCreators: [carol.userId] })
    expect(await fixture.state(again, 'm.room.create')).to.deep.include({
      additional_creators: [carol.userId],
    })
    expect((await levelsOf(again))['users']).to.deep.equal({})
    const ignored = await upgrade(again, '11', { additionalCreators: ['nonsense'] })
    expect(await fixture.state(ignored, 'm.room.create')).not.to.have.property('additional_creators')
    const bad = upgrade(ignored, '12', { additionalCreators: ['nonsense'] })
    expect(await rejection(bad)).to.have.property('errcode', 'M_INVALID_PARAM')
  })

  it('give back power that was needed for the move only', async () => {
    const old = await fixture.createRoom(alice, { roomVersion: '10', preset: 'public_chat', name: 'Cats' })
    await fixture.services.roomMembership.join(bob, old)
    const levels = { ...(await levelsOf(old)), users: { [alice.userId]: 100, [bob.userId]: 50 } }
    const events = { ...((levels as JsonObject)['events'] as JsonObject), 'm.room.tombstone': 50 }
    await setState(old, 'm.room.power_levels', { ...levels, events })
    const next = await upgrade(old, '10', { by: bob })
    expect((await levelsOf(next))['users']).to.deep.equal({ [alice.userId]: 100, [bob.userId]: 50 })
    expect(await fixture.state(next, 'm.room.history_visibility')).to.deep.equal({
      history_visibility: 'shared',
    })
    // Who upgrades has no power over the levels of the old room, which stay.
    expect(await levelsOf(old)).to.include({ events_default: 0 })
  })

  it('carry settings over, also for those who follow', async () => {
    const old = await fixture.createRoom(alice, { roomVersion: '10', preset: 'public_chat' })
    await fixture.services.roomMembership.join(bob, old)
    const put = (
      userId: Requester['userId'],
      roomId: RoomId | undefined,
      type: string,
      content: JsonObject,
    ) =>
      fixture.db.write('test', (tx) =>
        fixture.stores.accountData.put(tx, userId, { roomId, type, content }, 1),
      )
    const tags = { tags: { 'm.favourite': { order: 0.5 } } }
    for (const { userId } of [alice, bob]) {
      await put(userId, old, 'm.tag', tags)
      await put(userId, undefined, 'm.direct', { '@x:y': [old], '@z:y': ['!other:y'] })
    }
    const rule = { kind: 'room', ruleId: old } as const
    for (const { userId } of [alice, bob]) {
      await fixture.pushRules.putRule(userId, rule, { body: { actions: [] }, place: {} })
    }
    await fixture.pushRules.setEnabled(bob.userId, rule, false)
    const about = (pattern: string) => [
      { kind: 'event_match', key: 'room_id', pattern },
      { kind: 'event_match', key: 'type', pattern: 'm.*' },
    ]
    for (const [ruleId, pattern] of [
      [old, old],
      ['named', old],
      ['other', '!other:y'],
    ] as const) {
      const body = { actions: ['notify'], conditions: about(pattern) }
      await fixture.pushRules.putRule(bob.userId, { kind: 'override', ruleId }, { body, place: {} })
    }
    const next = await upgrade(old, '12')
    await fixture.services.roomMembership.join(bob, next)
    await fixture.services.succession.settle()
    for (const { userId } of [alice, bob]) {
      const copied = await fixture.pushRules.getRule(userId, { kind: 'room', ruleId: next })
      expect(copied).to.deep.include({ actions: [], enabled: userId === alice.userId })
    }
    const overriding = (await fixture.pushRules.listKind(bob.userId, 'override')).filter(
      (one) => !one.default,
    )
    expect(overriding.map((one) => one.rule_id)).to.deep.equal([`named ${next}`, next, 'other', 'named', old])
    expect(overriding[1]).to.deep.include({ actions: ['notify'], conditions: about(next) })
    const get = (userId: Requester['userId'], roomId: RoomId | undefined, type: string) =>
      fixture.stores.accountData.get(fixture.db.reader, userId, roomId, type)
    for (const { userId } of [alice, bob]) {
      expect(await get(userId, next, 'm.tag')).to.deep.equal(tags)
      expect(await get(userId, undefined, 'm.direct')).to.deep.equal({
        '@x:y': [old, next],
        '@z:y': ['!other:y'],
      })
    }
    // A room that nobody has named as successor gets nothing.
    const impostor = await fixture.createRoom(carol, {
      preset: 'public_chat',
      creationContent: { predecessor: { room_id: old } },
    })
    await fixture.services.roomMembership.join(bob, impostor)
    await fixture.services.succession.settle()
    expect(await get(bob.userId, impostor, 'm.tag')).to.equal(undefined)
  })

  it('by hand carry over settings of all who are there, aliases and publication', async () => {
    const old = await fixture.createRoom(alice, { visibility: 'public', roomAliasName: 'cats' })
    const tags = { tags: { 'm.favourite': {} } }
    await fixture.db.write('test', async (tx) => {
      for (const { userId } of [alice, bob])
        await fixture.stores.accountData.put(tx, userId, { roomId: old, type: 'm.tag', content: tags }, 1)
    })
    const creationContent = { predecessor: { room_id: old } }
    const next = await fixture.createRoom(alice, { preset: 'public_chat', creationContent })
    await fixture.services.roomMembership.join(bob, next)
    const other = await fixture.createRoom(alice)
    const { aliases, publicRooms, succession } = fixture.services
    const outcome = async (roomId: RoomId) => ({
      tags: await Promise.all(
        [alice, bob].map(({ userId }) =>
          fixture.stores.accountData.get(fixture.db.reader, userId, roomId, 'm.tag'),
        ),
      ),
      visibility: await publicRooms.getVisibility(roomId),
    })
    const nothing = { tags: [undefined, undefined], visibility: 'private' }
    await setState(old, 'm.room.tombstone', { replacement_room: other })
    await succession.settle()
    expect(await outcome(other)).to.deep.equal(nothing)
    expect(await outcome(next)).to.deep.equal(nothing)
    await setState(old, 'm.room.tombstone', { replacement_room: next })
    await succession.settle()
    expect(await outcome(next)).to.deep.equal({ tags: [tags, tags], visibility: 'public' })
    expect(await publicRooms.getVisibility(old)).to.equal('private')
    expect((await aliases.resolve('#cats:hs.test' as RoomAlias)).roomId).to.equal(next)
  })

  it('move the children of spaces', async () => {
    const old = await fixture.createRoom(alice, {
      roomVersion: '10',
      creationContent: { type: 'm.space' },
      initialState: [
        { type: 'm.space.child', stateKey: '!a:hs.test', content: { via: ['hs.test'] } },
        { type: 'm.space.child', stateKey: '!b:hs.test', content: {} },
      ],
    })
    const next = await upgrade(old, '12')
    expect(await fixture.state(next, 'm.space.child', '!a:hs.test')).to.deep.equal({ via: ['hs.test'] })
    expect(await fixture.state(next, 'm.space.child', '!b:hs.test')).to.equal(undefined)
  })

  it('are refused to those who may not, and to versions that nobody knows', async () => {
    const old = await fixture.createRoom(alice, { preset: 'public_chat' })
    await fixture.services.roomMembership.join(bob, old)
    const refused = async (attempt: Promise<unknown>, errcode: string): Promise<void> => {
      expect(await rejection(attempt)).to.have.property('errcode', errcode)
    }
    await refused(upgrade(old, '12', { by: bob }), 'M_FORBIDDEN')
    await refused(upgrade(old, '12', { by: carol }), 'M_FORBIDDEN')
    await refused(upgrade(old, 'cat'), 'M_UNSUPPORTED_ROOM_VERSION')
    await refused(upgrade('!unknown:hs.test' as RoomId, '12'), 'M_NOT_FOUND')
    await refused(upgrade(old, '12', { by: { ...alice, isSuspended: true } }), 'M_USER_SUSPENDED')
    await upgrade(old, '12', { by: { ...alice, isShadowBanned: true } })
    expect(await fixture.state(old, 'm.room.tombstone')).to.equal(undefined)
  })

  it('are one when asked for twice at once', async () => {
    const old = await fixture.createRoom(alice)
    const [first, second] = await Promise.all([upgrade(old, '12'), upgrade(old, '12')])
    expect(first).to.equal(second)
  })
})
