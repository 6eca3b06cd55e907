import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, type MatrixClient, type SyncCheck } from '../../support/matrix-client.js'

function statusPath(client: MatrixClient): string {
  return path`/_matrix/client/v3/presence/${client.userId}/status`
}

function syncPresenceHas(of: MatrixClient, presence: string, statusMsg?: string): SyncCheck {
  return (response) =>
    eventsAt(response, 'presence', 'events').some(
      (event) =>
        event['type'] === 'm.presence' &&
        event['sender'] === of.userId &&
        dig(event, 'content', 'presence') === presence &&
        dig(event, 'content', 'status_msg') === statusMsg,
    )
}

forEachServerDatabase('presence', (database) => {
  it('is set, read, and told to those in the same room', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob, carol] = (await Promise.all(
      ['alice', 'bob', 'carol'].map((name) => hs.register(name)),
    )) as [MatrixClient, MatrixClient, MatrixClient]
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    expect(await alice.must('GET', statusPath(alice))).to.have.property('presence')
    const since = await bob.syncToken()
    const carolSince = await carol.syncToken()
    const body = { presence: 'online', status_msg: 'Testing something' }
    expect(await alice.must('PUT', statusPath(alice), { body })).to.deep.equal({})
    expect(await bob.must('GET', statusPath(alice))).to.deep.include(body)
    const later = await bob.mustSyncUntil(syncPresenceHas(alice, 'online', 'Testing something'), { since })
    await alice.must('PUT', statusPath(alice), { body: { presence: 'unavailable' } })
    await bob.mustSyncUntil(syncPresenceHas(alice, 'unavailable'), { since: later })
    const refused = await carol.request('GET', statusPath(alice))
    expect([refused.status, refused.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    const seen = JSON.stringify(await carol.sync({ since: carolSince }))
    expect(seen).not.to.include(alice.userId)
  })

  it('follows the syncs of a client', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const since = await bob.syncToken()
    await alice.sync({ setPresence: 'unavailable' })
    const later = await bob.mustSyncUntil(syncPresenceHas(alice, 'unavailable'), { since })
    await alice.sync()
    await bob.mustSyncUntil(syncPresenceHas(alice, 'online'), { since: later })
    expect(await bob.must('GET', statusPath(alice))).to.include({
      presence: 'online',
      currently_active: true,
    })
  })

  it('tells who comes online by a sync in the answer to it, not in the next one', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const first = await alice.sync()
    expect(syncPresenceHas(alice, 'online')(first, alice)).to.equal(true)
    const since = first['next_batch'] as string
    expect(await alice.sync({ since, timeout: 100 })).not.to.have.property('presence')
  })

  it('is told of people whom a client meets, also of those who are not there', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const since = await bob.syncToken()
    await bob.join(roomId)
    const next = await bob.mustSyncUntil(syncPresenceHas(alice, 'offline'), { since })
    expect(eventsAt(await bob.sync({ since: next }), 'presence', 'events')).to.deep.equal([])
  })

  it('is told of people who are invited, whose presence it is not before they come: as offline', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob] = [await hs.register('alice'), await hs.register('bob')]
    await bob.sync()
    const since = await alice.syncToken()
    const roomId = await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    const invited = await alice.sync({ since })
    expect(syncPresenceHas(bob, 'offline')(invited, alice)).to.equal(true)
    expect(syncPresenceHas(bob, 'online')(invited, alice)).to.equal(false)
    await bob.join(roomId)
    const next = await alice.mustSyncUntil(syncPresenceHas(bob, 'online'), {
      since: invited['next_batch'] as string,
    })
    // Invited elsewhere, bob is no stranger any more.
    await alice.createRoom({ preset: 'private_chat', invite: [bob.userId] })
    expect(syncPresenceHas(bob, 'offline')(await alice.sync({ since: next }), alice)).to.equal(false)
  })

  it('is part of what members see of a room at a glance, with how far they have read', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob, carol] = [
      await hs.register('alice'),
      await hs.register('bob'),
      await hs.register('carol'),
    ]
    const rules = { type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }
    const roomId = await alice.createRoom({ preset: 'public_chat', initial_state: [rules] })
    await bob.join(roomId)
    const eventId = await alice.sendText(roomId, 'hello')
    await bob.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${eventId}`)
    const body = { presence: 'online', status_msg: 'here' }
    await alice.must('PUT', statusPath(alice), { body })
    await carol.must('PUT', statusPath(carol), { body })
    const glance = path`/_matrix/client/v3/rooms/${roomId}/initialSync`
    const seen = await bob.must('GET', glance)
    const people = eventsAt(seen, 'presence').map((event) => dig(event, 'content') as JsonObject)
    expect(people.map((content) => content['user_id'])).to.have.members([alice.userId, bob.userId])
    const of = (client: MatrixClient) => people.find((content) => content['user_id'] === client.userId)
    expect(of(alice)).to.include(body)
    expect(of(bob)).to.include({ presence: 'offline' })
    expect(dig(seen, 'receipts', 0, 'room_id')).to.equal(roomId)
    expect(dig(seen, 'receipts', 0, 'content', eventId, 'm.read', bob.userId)).to.have.property('ts')
    expect(await carol.must('GET', glance)).to.deep.include({ presence: [], receipts: [] })
  })

  it('is told of those who are offline to clients that begin, where the operator wants it', async () => {
    const seen = async (config: object): Promise<unknown[]> => {
      await using hs = await startHomeserver({ database, config: { ...config } })
      const [alice, bob, carol] = (await Promise.all(
        ['alice', 'bob', 'carol'].map((name) => hs.register(name)),
      )) as [MatrixClient, MatrixClient, MatrixClient]
      await carol.createRoom({ preset: 'public_chat' })
      await bob.join(await alice.createRoom({ preset: 'public_chat' }))
      const events = eventsAt(await bob.sync({ setPresence: 'offline' }), 'presence', 'events')
      return events.map(({ sender, content }) => [sender, dig(content, 'presence')]).sort()
    }
    expect(await seen({})).to.deep.equal([])
    expect(await seen({ presence: { include_offline_users_on_sync: true } })).to.deep.equal([
      ['@alice:hs.test', 'offline'],
      ['@bob:hs.test', 'offline'],
    ])
  })

  it('refuses what is none', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const put = (of: MatrixClient, presence: string) =>
      alice.request('PUT', statusPath(of), { body: { presence } })
    expect((await put(alice, 'asleep')).body['errcode']).to.equal('M_INVALID_PARAM')
    expect((await put(bob, 'online')).body['errcode']).to.equal('M_FORBIDDEN')
  })

  it('is nothing where it is switched off', async () => {
    await using hs = await startHomeserver({ database, config: { presence: { enabled: false } } })
    const alice = await hs.register('alice')
    await alice.must('PUT', statusPath(alice), { body: { presence: 'online' } })
    expect(await alice.must('GET', statusPath(alice))).to.deep.equal({ presence: 'offline' })
    expect(eventsAt(await alice.sync(), 'presence', 'events')).to.deep.equal([])
  })
})
