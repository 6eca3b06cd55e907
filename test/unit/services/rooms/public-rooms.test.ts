import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import type { PublicRoomsQuery } from '../../../../src/services/rooms/public-rooms.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'

const EVERYTHING: PublicRoomsQuery = {
  server: undefined,
  limit: undefined,
  since: undefined,
  searchTerm: undefined,
  roomTypes: undefined,
}

forEachDatabase('public rooms', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
  })

  const list = (query: Partial<PublicRoomsQuery> = {}): Promise<JsonObject> =>
    fixture.services.publicRooms.list(alice, { ...EVERYTHING, ...query })
  const ids = async (query: Partial<PublicRoomsQuery> = {}): Promise<unknown[]> =>
    ((await list(query))['chunk'] as JsonObject[]).map((room) => room['room_id'])
  const publish = (roomId: RoomId, by = alice, visibility: 'public' | 'private' = 'public') =>
    fixture.services.publicRooms.setVisibility(by, roomId, visibility)
  const setState = (roomId: RoomId, type: string, content: JsonObject) =>
    fixture.services.roomSending.setState(alice, { roomId, type, stateKey: '', content })

  it('show what their state says, as it is now', async () => {
    const roomId = await fixture.createRoom(alice, {
      visibility: 'public',
      name: 'Cats',
      topic: 'About cats',
      roomAliasName: 'cats',
      creationContent: { type: 'm.space' },
    })
    const entry = {
      room_id: roomId,
      name: 'Cats',
      topic: 'About cats',
      canonical_alias: '#cats:hs.test',
      num_joined_members: 1,
      join_rule: 'public',
      room_type: 'm.space',
      world_readable: false,
      guest_can_join: false,
    }
    expect(await list()).to.deep.equal({ chunk: [entry], total_room_count_estimate: 1 })
    await setState(roomId, 'm.room.name', { name: 'Dogs' })
    // As other servers may have it.
    await fixture.sender.send(alice, { roomId, type: 'm.room.topic', stateKey: '', content: { topic: 7 } })
    await setState(roomId, 'm.room.avatar', { url: 'mxc://hs.test/a' })
    await setState(roomId, 'm.room.history_visibility', { history_visibility: 'world_readable' })
    await setState(roomId, 'm.room.guest_access', { guest_access: 'can_join' })
    await fixture.services.roomMembership.join(bob, roomId)
    const { topic: _topic, ...others } = entry
    expect(((await list())['chunk'] as JsonObject[])[0]).to.deep.equal({
      ...others,
      name: 'Dogs',
      avatar_url: 'mxc://hs.test/a',
      num_joined_members: 2,
      world_readable: true,
      guest_can_join: true,
    })
  })

  it('survive text that databases refuse', async () => {
    const roomId = await fixture.createRoom(alice, { visibility: 'public', roomVersion: '10' })
    await setState(roomId, 'm.room.name', { name: 'Cats\u0000' })
    await setState(roomId, 'm.room.topic', { topic: '%_!' })
    expect(((await list())['chunk'] as JsonObject[])[0]).to.include({ name: 'Cats', topic: '%_!' })
    expect(await ids({ searchTerm: '%_!' })).to.deep.equal([roomId])
    expect(await ids({ searchTerm: '%!' })).to.deep.equal([])
  })

  it('are found by words in any letters, and by type', async () => {
    const named = await fixture.createRoom(alice, { visibility: 'public', name: 'Étude à la française' })
    const typed = await fixture.createRoom(alice, {
      visibility: 'public',
      topic: 'Wombles',
      creationContent: { type: 'm.space' },
    })
    expect(await ids({ searchTerm: 'ÉTUDE' })).to.deep.equal([named])
    expect(await ids({ searchTerm: 'womb' })).to.deep.equal([typed])
    expect(await ids({ searchTerm: '' })).to.have.members([named, typed])
    expect(await ids({ searchTerm: 'm.room' })).to.deep.equal([])
    expect(await ids({ roomTypes: ['m.space'] })).to.deep.equal([typed])
    expect(await ids({ roomTypes: [null] })).to.deep.equal([named])
    expect(await ids({ roomTypes: [null, 'm.space'] })).to.have.members([named, typed])
    expect(await ids({ roomTypes: [] })).to.deep.equal([])
    expect(await ids({ network: 'irc' })).to.deep.equal([])
  })

  it('come in pages, the largest first, forwards and backwards', async () => {
    const rooms: RoomId[] = []
    for (let index = 0; index < 5; index++) {
      rooms.unshift(await fixture.createRoom(alice, { visibility: 'public', name: `Room ${index}` }))
    }
    await fixture.services.roomMembership.join(bob, rooms[4]!)
    const order = [rooms[4], ...rooms.slice(0, 4)]
    const first = await list({ limit: 2 })
    expect((first['chunk'] as JsonObject[]).map((room) => room['room_id'])).to.deep.equal(order.slice(0, 2))
    expect(first).not.to.have.property('prev_batch')
    const second = await list({ limit: 2, since: first['next_batch'] as string })
    expect((second['chunk'] as JsonObject[]).map((room) => room['room_id'])).to.deep.equal(order.slice(2, 4))
    const third = await list({ limit: 2, since: second['next_batch'] as string })
    expect((third['chunk'] as JsonObject[]).map((room) => room['room_id'])).to.deep.equal(order.slice(4))
    expect(third).not.to.have.property('next_batch')
    const back = await list({ limit: 2, since: third['prev_batch'] as string })
    expect((back['chunk'] as JsonObject[]).map((room) => room['room_id'])).to.deep.equal(order.slice(2, 4))
    const start = await list({ limit: 2, since: back['prev_batch'] as string })
    expect((start['chunk'] as JsonObject[]).map((room) => room['room_id'])).to.deep.equal(order.slice(0, 2))
    expect(start).not.to.have.property('prev_batch')
    expect(await list({ limit: 0 })).to.deep.equal({ chunk: [], total_room_count_estimate: 0 })
    for (const query of [
      { searchTerm: 'x'.repeat(60_000) },
      { since: 'cat' },
      { since: 'n1' },
      { limit: -1 },
    ]) {
      expect(await rejection(list(query))).to.have.property('errcode', 'M_INVALID_PARAM')
    }
  })

  it('are published and taken back by moderators and administrators', async () => {
    const roomId = await fixture.createRoom(alice, { preset: 'public_chat' })
    await fixture.services.roomMembership.join(bob, roomId)
    expect(await rejection(publish(roomId, bob))).to.have.property('errcode', 'M_FORBIDDEN')
    await publish(roomId)
    expect(await ids()).to.deep.equal([roomId])
    await publish(roomId, alice, 'private')
    expect(await ids()).to.deep.equal([])
    await publish(roomId, { ...bob, isAdmin: true })
    expect(await ids()).to.deep.equal([roomId])
    const unknown = '!unknown:hs.test' as RoomId
    expect(await rejection(publish(unknown))).to.have.property('errcode', 'M_NOT_FOUND')
    expect(await rejection(fixture.services.publicRooms.getVisibility(unknown))).to.have.property(
      'errcode',
      'M_NOT_FOUND',
    )
  })

  it('are listed only where people can get in or look in, and somebody is', async () => {
    const closed = await fixture.createRoom(alice)
    await publish(closed)
    expect(await ids()).to.deep.equal([])
    await setState(closed, 'm.room.join_rules', { join_rule: 'knock' })
    expect(await ids()).to.deep.equal([closed])
    await fixture.services.roomMembership.leave(alice, closed, undefined)
    expect(await ids()).to.deep.equal([])
  })

  it('of bridged networks have directories of their own, and are among all', async () => {
    const { publicRooms } = fixture.services
    const network = (networkId: string, query: Partial<PublicRoomsQuery> = {}) =>
      ids({ network: `bridge|${networkId}`, ...query })
    const publishFor = (networkId: string, roomId: RoomId, visibility: 'public' | 'private' = 'public') =>
      publicRooms.setNetworkVisibility({ appserviceId: 'bridge' }, { networkId, roomId }, visibility)
    const create = (name: string, type?: string) =>
      fixture.createRoom(alice, { preset: 'public_chat', name, ...(type && { creationContent: { type } }) })
    const ours = await fixture.createRoom(alice, { visibility: 'public', name: 'Ours' })
    const [cats, space, dogs] = [await create('Cats'), await create('Space', 'm.space'), await create('Dogs')]
    for (const roomId of [cats, space]) await publishFor('irc', roomId)
    await publishFor('other', dogs)
    await publishFor('other', cats)

    expect(await network('irc')).to.deep.equal([space, cats])
    expect(await network('irc', { roomTypes: [null] })).to.deep.equal([cats])
    expect(await network('irc', { searchTerm: 'spa' })).to.deep.equal([space])
    expect(await network('other')).to.deep.equal([dogs, cats])
    expect(await network('unknown')).to.deep.equal([])
    expect(await ids()).to.deep.equal([ours])
    expect(await ids({ allNetworks: true })).to.deep.equal([dogs, space, cats, ours])
    expect(await ids({ allNetworks: true, roomTypes: ['m.space'] })).to.deep.equal([space])
    expect(await rejection(ids({ allNetworks: true, network: 'bridge|irc' }))).to.include({ status: 400 })
    const page = await list({ network: 'bridge|irc', limit: 1 })
    expect(page['total_room_count_estimate']).to.equal(2)
    expect(await network('irc', { since: page['next_batch'] as string })).to.deep.equal([cats])

    await setState(cats, 'm.room.name', { name: 'Kittens' })
    expect(await network('irc', { searchTerm: 'kitten' })).to.deep.equal([cats])
    await publishFor('irc', cats, 'private')
    expect(await network('irc')).to.deep.equal([space])
    expect(await network('other', { searchTerm: 'kitten' })).to.deep.equal([cats])
    await setState(cats, 'm.room.join_rules', { join_rule: 'invite' })
    expect(await network('other')).to.deep.equal([dogs])
  })

  it('of bridged networks are published by application services alone', async () => {
    const room = { networkId: 'irc', roomId: await fixture.createRoom(alice, { preset: 'public_chat' }) }
    const attempt = fixture.services.publicRooms.setNetworkVisibility(alice, room, 'public')
    expect(await rejection(attempt)).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('are not told to strangers, and not of other servers', async () => {
    const { publicRooms } = fixture.services
    expect(await rejection(publicRooms.list(undefined, EVERYTHING))).to.have.property(
      'errcode',
      'M_MISSING_TOKEN',
    )
    expect(await rejection(list({ server: 'example.org' }))).to.have.property('errcode', 'M_NOT_FOUND')
    expect(await ids({ server: 'hs.test' })).to.deep.equal([])
  })
})

forEachDatabase('public rooms by configuration', (open) => {
  it('are for everybody, and follow rules', async () => {
    const fixture = await createRoomFixture(await open(), {
      directory: { withoutAuth: true },
      publicationRules: [{ userId: '*', alias: '#good*', roomId: '*', action: 'allow' }],
    })
    const alice = await fixture.user('alice')
    const good = await fixture.createRoom(alice, { preset: 'public_chat', roomAliasName: 'good' })
    const bad = await fixture.createRoom(alice, { preset: 'public_chat', roomAliasName: 'bad' })
    const { publicRooms } = fixture.services
    await publicRooms.setVisibility(alice, good, 'public')
    const attempt = publicRooms.setVisibility(alice, bad, 'public')
    expect(await rejection(attempt)).to.have.property('errcode', 'M_FORBIDDEN')
    expect(((await publicRooms.list(undefined, EVERYTHING))['chunk'] as unknown[]).length).to.equal(1)
  })

  it('are nowhere where the list is off', async () => {
    const fixture = await createRoomFixture(await open(), { directory: { isSearchable: false } })
    const alice = await fixture.user('alice')
    await fixture.createRoom(alice, { visibility: 'public' })
    expect((await fixture.services.publicRooms.list(alice, EVERYTHING))['chunk']).to.deep.equal([])
  })
})
