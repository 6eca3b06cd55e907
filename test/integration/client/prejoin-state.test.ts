import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { FakeAppservice } from '../../support/fake-appservice.js'
import { startFederation } from '../../support/federation.js'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { eventsAt, path, syncInvitedTo, type MatrixClient } from '../../support/matrix-client.js'
import { listOf, roomIn, SlidingClient } from '../../support/sliding-client.js'

const room_prejoin_state = {
  disable_default_event_types: true,
  additional_event_types: ['org.example.any', ['org.example.one', 'key']],
}
const EXPECTED = ['m.room.create|', 'org.example.any|a', 'org.example.any|b', 'org.example.one|key']

const keysOf = (events: readonly JsonObject[]): string[] =>
  events.map(({ type, state_key: key }) => `${type as string}|${key as string}`).sort()

const withMembers = (...userIds: string[]): string[] =>
  [...EXPECTED, ...userIds.map((userId) => `m.room.member|${userId}`)].sort()

/** A room at which others may knock, with state that is to be shown and state that is not. */
async function createRoomWithState(client: MatrixClient): Promise<string> {
  const state = (type: string, key: string): JsonObject => ({ type, state_key: key, content: {} })
  return client.createRoom({
    name: 'Tea',
    topic: 'Leaves',
    initial_state: [
      { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } },
      state('org.example.any', 'a'),
      state('org.example.any', 'b'),
      state('org.example.one', 'key'),
      state('org.example.one', 'other'),
    ],
  })
}

forEachServerDatabase('the state that room_prejoin_state names', (database) => {
  it('is what those are told who are invited or knock', async () => {
    await using hs = await startHomeserver({ database, config: { room_prejoin_state } })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await createRoomWithState(alice)
    await bob.must('POST', path`/_matrix/client/v3/knock/${roomId}`, { body: {} })
    const knocking = eventsAt(await bob.sync(), 'rooms', 'knock', roomId, 'knock_state', 'events')
    expect(keysOf(knocking)).to.deep.equal(withMembers(bob.userId))
    await alice.invite(roomId, bob.userId)
    const invited = eventsAt(await bob.sync(), 'rooms', 'invite', roomId, 'invite_state', 'events')
    expect(keysOf(invited)).to.deep.equal(withMembers(alice.userId, bob.userId))
    const room = roomIn(await new SlidingClient(bob).sync(listOf([0, 9])), roomId)
    expect(keysOf(eventsAt(room, 'invite_state'))).to.deep.equal(withMembers(alice.userId, bob.userId))
    expect(room).to.not.include.keys('name')
  })

  it('is what application services are told with invitations of their users', async () => {
    await using service = await FakeAppservice.start()
    const config = { app_service_config_files: [service.file], room_prejoin_state }
    await using hs = await startHomeserver({ database, config })
    const alice = await hs.register('alice')
    await alice.invite(await createRoomWithState(alice), '@bridge_bot:hs.test')
    const invite = await service.waitForEvent(({ state_key: key }) => key === '@bridge_bot:hs.test')
    expect(keysOf(eventsAt(invite, 'unsigned', 'invite_room_state'))).to.deep.equal(withMembers(alice.userId))
  })
})

describe('the state that room_prejoin_state names, at other servers', function () {
  this.timeout(30_000)

  it('is sent to the servers of those who are invited or knock', async () => {
    await using servers = await startFederation(['a.test', 'b.test'], {
      configOf: { 'a.test': { room_prejoin_state } },
    })
    const [a, b] = servers.list
    const alice = await a!.register('alice')
    const bob = await b!.register('bob')
    const roomId = await createRoomWithState(alice)
    await bob.must('POST', path`/_matrix/client/v3/knock/${roomId}`, {
      query: { via: 'a.test', server_name: 'a.test' },
      body: {},
    })
    const knocking = eventsAt(await bob.sync(), 'rooms', 'knock', roomId, 'knock_state', 'events')
    expect(keysOf(knocking)).to.deep.equal(withMembers(bob.userId))
    await alice.invite(roomId, bob.userId)
    await bob.mustSyncUntil(syncInvitedTo(roomId))
    const invited = eventsAt(await bob.sync(), 'rooms', 'invite', roomId, 'invite_state', 'events')
    expect(keysOf(invited)).to.deep.equal(withMembers(alice.userId, bob.userId))
  })

  it('comes to application services as the inviting server has sent it', async () => {
    await using service = await FakeAppservice.start({
      namespaces: { users: [{ exclusive: true, regex: '@_bridge_.*:b\\.test' }], aliases: [], rooms: [] },
    })
    await using servers = await startFederation(['a.test', 'b.test'], {
      configOf: { 'a.test': { room_prejoin_state }, 'b.test': { app_service_config_files: [service.file] } },
    })
    const alice = await servers.get('a.test').register('alice')
    await alice.invite(await createRoomWithState(alice), '@bridge_bot:b.test')
    const invite = await service.waitForEvent(({ state_key: key }) => key === '@bridge_bot:b.test')
    expect(keysOf(eventsAt(invite, 'unsigned', 'invite_room_state'))).to.deep.equal(withMembers(alice.userId))
  })
})
